"""JSON values for property tests."""

from hypothesis import strategies as st

NAMES = st.text(st.characters(codec="utf-8"), max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)
# Few names and scalars, so that two documents have much in common.
ALIKE = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, -0.0, 0.0, "a", ""]),
    lambda below: (
        st.lists(below, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "/", "~", "", "é"]), below, max_size=4)
    ),
    max_leaves=15,
)
