"""How subjects are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.storage.subjects import Mention, folded


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada Lovelace", " ada\tLOVELACE "),
        ("Stra\u00dfe", "STRASSE"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("\uff21da", "ada"),
    ],
)
def test_two_ways_to_write_one_name_are_one_subject(one: str, other: str) -> None:
    """Case, white space and the composition of accents are no difference."""
    assert folded(one) == folded(other)


@given(subject=st.text(max_size=20))
def test_folding_twice_is_folding_once(subject: str) -> None:
    """So what is stored folded can be compared with what is folded now."""
    assert folded(folded(subject)) == folded(subject)


@pytest.mark.parametrize(
    ("subject", "text", "found"),
    [
        ("Ann", "I met ANN's brother.", True),
        ("Ann", "I met Anna.", False),
        ("Ada Lovelace", "ada\n  lovelace wrote it", True),
        ("C++", "She writes C++, mostly.", True),
        ("user:42", "user:421", False),
        (" ", "anything", False),
    ],
)
def test_a_mention_is_of_whole_words(subject: str, text: str, *, found: bool) -> None:
    """One behind the other, however they are written."""
    assert Mention(subject).is_in(text) is found
