"""Files as people break them: the planner answers with mistakes, never with a traceback."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tandemkit.fleet.plan import PlanRefused
from tests.unit.tandemkit.fleet.planted import FILES, Planted

_WORDS = st.sampled_from(
    (
        *("", "5", "-1", "both", "text", "big", "[]", "[a]", "{}", "{a: b}", "*", "&a", "*a"),
        *("null", "1e9", "0-9", '"', "standard", "true", "2026-01-01", "- x", "x: [", "<<: 5"),
        *("tandem.a.v1.B", "tandem.text.v1.SumService"),
    )
)


@st.composite
def broken(draw: st.DrawFn) -> Planted:
    """One to three lines that are gone, doubled, moved in, or say something else."""
    files = dict(FILES)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(files)))
        lines = files[path].splitlines()
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        line = lines[at] if lines else ""
        key = line.partition(":")[0]
        change = draw(st.sampled_from(("gone", "twice", "indented", "other", "alone")))
        lines[at : at + 1] = {
            "gone": [],
            "twice": [line, line],
            "indented": [f"  {line}"],
            "other": [f"{key}: {draw(_WORDS)}"],
            "alone": [draw(_WORDS)],
        }[change]
        files[path] = "\n".join(lines)
    return replace(Planted(), files=files)


@settings(max_examples=150, deadline=None)
@given(broken())
def test_no_file_breaks_the_planner(planted: Planted) -> None:
    """Each mistake has a place in a file that there is."""
    try:
        planted.plan()
    except PlanRefused as refused:
        assert refused.mistakes
        for one in refused.mistakes:
            assert one.path in FILES
            assert one.line > 0
            assert one.column > 0
