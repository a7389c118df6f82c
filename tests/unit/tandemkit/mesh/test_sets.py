"""Sets that were made from earlier ones are those that the fleet has now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.sets import Sets

PLACEMENTS = st.lists(
    st.builds(Placement, st.sampled_from(["x", "y"]), st.sampled_from(["", "z"]), st.booleans()),
    max_size=3,
    unique_by=lambda one: (one.service, one.instance),
)
HOSTS = st.lists(
    st.builds(
        Host,
        name=st.sampled_from("abcdef"),
        group=st.sampled_from(["one", "two"]),
        machine=st.just("here"),
        address=st.just("127.0.0.1"),
        port=st.integers(min_value=1, max_value=2),
        placements=PLACEMENTS.map(tuple),
        serving=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.name,
)
STEPS = st.lists(st.tuples(HOSTS, st.frozensets(st.sampled_from("abc"))), min_size=2, max_size=6)


@given(STEPS)
def test_earlier_sets_change_nothing(steps: list[tuple[list[Host], frozenset[str]]]) -> None:
    """Whatever the fleet was, and whoever was drained then."""
    before: Sets | None = None
    for hosts, drained in steps:
        catalogue = Catalogue(tuple(hosts))
        before = Sets.of(catalogue, drained, before)
        anew = Sets.of(catalogue, drained)
        assert (dict(before.by_key), dict(before.names)) == (dict(anew.by_key), dict(anew.names))


def host(name: str, group: str, port: int = 1) -> Host:
    return Host(name, group, "here", "127.0.0.1", port, (Placement(f"of-{group}"),))


def test_a_change_leaves_other_groups_what_they_were() -> None:
    """Others tell by the very object that nothing changed, and names stay with health and port."""
    still = host("a", "one")
    before = Sets.of(Catalogue((still, host("b", "two"))), frozenset())
    after = Sets.of(Catalogue((still, host("b", "two", 2))), frozenset(), before)
    assert after.by_key["of-one", ""] is before.by_key["of-one", ""]
    assert after.by_key["of-two", ""] != before.by_key["of-two", ""]
    assert after.names is before.names
