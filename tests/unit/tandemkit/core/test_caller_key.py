"""What a caller's key says, and that nobody else can make one say more."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core.caller_key import CallerKey, is_signed, read
from tandemkit.core.token import Token
from tandemkit.testing.tokens import own_token

ADA = CallerKey("ada", 1_000, 2_000)


@pytest.fixture(scope="module")
def token() -> Iterator[Token]:
    with own_token() as it:
        yield it


def test_a_key_says_what_it_was_made_of(token: Token) -> None:
    """To whoever has the token it was signed with."""
    shown = ADA.signed(token)
    assert read(shown) == ADA
    assert is_signed(shown, token)


@given(place=st.integers(0, 200), letter=st.characters(codec="ascii", categories=["L", "N", "P"]))
def test_a_key_that_was_changed_anywhere_is_none(token: Token, place: int, letter: str) -> None:
    """Whatever is put in place of whatever letter."""
    shown = ADA.signed(token)
    place %= len(shown)
    changed = shown[:place] + letter + shown[place + 1 :]
    if changed != shown:
        assert read(changed) is None or not is_signed(changed, token)


def test_a_key_has_one_last_letter(token: Token) -> None:
    """Though four of base64 stand for the same bits there."""
    shown = ADA.signed(token)
    letters = string.ascii_letters + string.digits + "-_="
    assert [one for one in letters if is_signed(shown[:-1] + one, token)] == [shown[-1]]


def test_another_fleets_key_is_none(token: Token) -> None:
    """However much it says."""
    with own_token() as other:
        assert not is_signed(ADA.signed(other), token)


@pytest.mark.parametrize("name", ["", "Ada", "a.b", "a/b", "-a", "a" * 64])
def test_a_name_that_rules_could_not_say_has_no_key(token: Token, name: str) -> None:
    """It stands in headers and patterns."""
    with pytest.raises(ValueError, match="name"):
        CallerKey(name, 1, 2).signed(token)


@given(text=st.text(max_size=40))
def test_any_text_is_read_or_is_none(token: Token, text: str) -> None:
    """Whatever somebody shows."""
    read(text)
    assert not is_signed(text, token)
