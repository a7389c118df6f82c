"""What others wrote is shown, and does nothing to the terminal that it is shown on."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.cli import harmless

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("naïve 👩‍👩‍👧 中", "naïve 👩‍👩‍👧 中"),
        ("\udc80", r"\udc80"),
    ],
)
def test_a_line_stays_one_and_shows_what_it_would_have_done(text: str, shown: str) -> None:
    """Ordinary text of any script is left as it is."""
    assert harmless.one_line(text) == shown


@given(st.text())
def test_no_control_character_passes(text: str) -> None:
    """Whatever the text is."""
    assert OBEYED.search(harmless.one_line(text)) is None
    assert OBEYED.search(harmless.lines(text).replace("\n", "").replace("\t", "")) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_says_the_same_afterwards(text: str) -> None:
    """A program that reads it gets every character."""
    shown = harmless.json_text(json.dumps({"text": text}, ensure_ascii=False, indent=2))
    assert json.loads(shown) == {"text": text}
    assert OBEYED.search(shown.replace("\n", "")) is None
