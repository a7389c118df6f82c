"""Tokens as they are estimated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.text.tokens import cut_to_tokens, estimated_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("How are you?", 4),
        ("internationally", 3),
        ("4 at 19:30", 5),
        ("snake_case", 3),
        ("Привет", 6),
        ("我喜欢", 3),
    ],
)
def test_words_marks_and_digits_count(text: str, tokens: int) -> None:
    """What a text counts is what the rule says."""
    assert estimated_tokens(text) == tokens


@given(text=st.text(max_size=200), tokens_max=st.integers(0, 60))
def test_what_is_cut_fits_and_is_the_beginning(text: str, tokens_max: int) -> None:
    """Never more than asked for, and nothing is lost of what fits."""
    cut = cut_to_tokens(text, tokens_max)
    assert text.startswith(cut)
    assert estimated_tokens(cut) <= tokens_max
    if estimated_tokens(text) <= tokens_max:
        assert cut == text
