"""Patterns: what they find, and that no pattern hangs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.limits import MIB
from services.utility.toolbox.text import matching
from services.utility.toolbox.text.matching import PatternOptions, Template
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

ALL = 1_000_000


def compiled(expression: str, **options: bool) -> matching.Pattern:
    return matching.compile_pattern(
        expression, PatternOptions(**options), memory_bytes_max=MIB, field="pattern"
    )


def replaced(expression: str, text: str, replacement: str, **options: bool) -> str:
    pattern = compiled(expression, **options)
    template = Template(replacement, pattern, literal=options.get("literal", False))
    return matching.replace(pattern, text, template, count_max=0, bytes_max=MIB)[0]


@given(st.text("ab.*é"), st.text("ab.*é", min_size=1), st.text("$1x\\"))
def test_a_literal_replacement_is_python_s_replace(text: str, old: str, new: str) -> None:
    """A literal pattern and its replacement mean themselves, special characters included."""
    assert replaced(old, text, new, literal=True) == text.replace(old, new)


@given(st.text("abé \n"), st.sampled_from(["a+", "b", "(a)(b)?", "a|b", "é", "[^a]b", "x*"]))
def test_matches_are_those_of_python(text: str, expression: str) -> None:
    """Where RE2 and Python share a syntax they share the answer, in code points."""
    found, more = matching.find(compiled(expression), text, matches_max=ALL, bytes_max=MIB)
    expected = [(match.span(), match.groups("")) for match in re.finditer(expression, text)]
    if expression != "x*":
        assert [((f.start, f.end), tuple(g.text for g in f.groups)) for f in found] == expected
    assert not more
    assert all(text[f.start : f.end] == f.text for f in found)


def test_groups_can_be_named_numbered_and_absent() -> None:
    """`$1`, `${name}` and `$$` work; a group that took no part is empty; a lone $ stands."""
    assert replaced(r"(?P<who>\w+)@(\w+)(x)?", "me@here", "${who} at $2$3, $$5 $") == (
        "me at here, $5 $"
    )


@pytest.mark.parametrize("reference", ["$2", "${other}", "${7}", "$99"])
def test_a_replacement_cannot_name_a_group_that_is_not_there(reference: str) -> None:
    """A reference to nothing is the caller's mistake, not an empty text."""
    with pytest.raises(CallerError) as refused:
        replaced("(a)", "a", reference)
    assert refused.value.reason == errors.ERROR_REASON_PATTERN_INVALID
    assert refused.value.field == "replacement"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(a+)+$", "a" * 50_000 + "!"),
        ("(a|a)*b", "a" * 50_000),
        ("(.*)*x", "a" * 50_000),
        ("(a?){100}a{100}", "a" * 100),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 50_000),
    ],
)
def test_patterns_that_hang_backtracking_engines_answer(expression: str, text: str) -> None:
    """Each of these takes a backtracking engine longer than the age of the universe."""
    matching.find(compiled(expression), text, matches_max=1, bytes_max=MIB)


@pytest.mark.parametrize(
    "expression", ["(a", r"(a)\1", "(?=a)", "(?<!a)b", "a{1001}", "[z-a]", "*"]
)
def test_what_re2_does_not_take_is_refused_with_the_field(expression: str) -> None:
    """Back-references, look-around and bad syntax are PATTERN_INVALID on the field given."""
    with pytest.raises(CallerError) as refused:
        compiled(expression)
    assert refused.value.reason == errors.ERROR_REASON_PATTERN_INVALID
    assert refused.value.field == "pattern"
    assert refused.value.metadata["explanation"]


def test_a_pattern_that_needs_too_much_memory_is_refused() -> None:
    """A short pattern can be a large program; its size is bounded before it runs."""
    with pytest.raises(CallerError) as refused:
        compiled(r"((\pL{50}){10}){2}")
    assert refused.value.reason == errors.ERROR_REASON_PATTERN_INVALID


def test_a_replacement_cannot_grow_beyond_its_limit() -> None:
    """The result is counted while it grows, so the limit is reached, not passed."""
    pattern = compiled("a")
    template = Template("b" * 1_000, pattern, literal=False)
    with pytest.raises(CallerError) as refused:
        matching.replace(pattern, "a" * 1_000, template, count_max=0, bytes_max=10_000)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE
    assert int(refused.value.metadata["bytes"]) <= 11_000


def test_options_change_what_matches() -> None:
    """Case, line ends and the dot behave as asked."""
    text = "A\nb"
    assert not matching.find(compiled("a"), text, matches_max=1, bytes_max=MIB)[0]
    assert matching.find(compiled("a", ignore_case=True), text, matches_max=1, bytes_max=MIB)[0]
    assert not matching.find(compiled("^b"), text, matches_max=1, bytes_max=MIB)[0]
    assert matching.find(compiled("^b", multiline=True), text, matches_max=1, bytes_max=MIB)[0]
    assert not matching.find(compiled("A.b"), text, matches_max=1, bytes_max=MIB)[0]
    assert matching.find(
        compiled("A.b", dot_matches_newline=True), text, matches_max=1, bytes_max=MIB
    )[0]


def test_groups_that_repeat_the_text_stop_at_the_limit() -> None:
    """Nested groups each hold the whole match, so a short request could ask for gigabytes."""
    pattern = compiled("(" * 200 + "a*" + ")" * 200)
    with pytest.raises(CallerError) as refused:
        matching.find(pattern, "a" * 10_000, matches_max=1, bytes_max=MIB)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE
