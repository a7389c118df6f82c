"""Where sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.text.sentences import sentence_spans, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met J. R. Hart. They spoke.", ["Dr. Smith met J. R. Hart.", "They spoke."]),
        ("Version 3.5 of it. Run e.g. Redis.", ["Version 3.5 of it.", "Run e.g. Redis."]),
        ('He said "stop." She did.', ['He said "stop."', "She did."]),
        ("A heading\n\nand a text", ["A heading", "and a text"]),
        ("Read tandem.yaml. `up` starts it.", ["Read tandem.yaml.", "`up` starts it."]),
        ("これは文です。次の文。", ["これは文です。", "次の文。"]),
        ("  \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    """Dots of abbreviations, initials and numbers end none."""
    assert sentences(text) == expected


@given(st.text(alphabet="aB. !?\n\"'。é", max_size=200))
def test_spans_hold_all_that_is_not_blank_in_order(text: str) -> None:
    """Whoever quotes by them leaves nothing out and says nothing twice."""
    spans = sentence_spans(text)
    ends = [0, *(end for _, end in spans)]
    for (start, end), before in zip(spans, ends, strict=False):
        assert before <= start < end
        assert text[before:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
    assert text[ends[-1] :].strip() == ""
