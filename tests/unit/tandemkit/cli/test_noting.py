"""The note that goes with a change, where nobody gave a reason."""

from __future__ import annotations

import sys

import pytest

from tandemkit.cli.noting import note_of
from tandemkit.rpc import validation


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("5", "./tandem config set limit 5"),
        ("a\nb\tc\u202e\udcff", "./tandem config set limit a b c  "),
        ("x" * 5000, f"./tandem config set limit {'x' * 473}…"),
    ],
)
def test_any_command_is_a_reason(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of many lines, or a long one, is no reason to refuse the change."""
    monkeypatch.setattr(sys, "argv", ["tandem", "config", "set", "limit", value])
    note = note_of("ana", None)
    assert note.reason == said
    assert not validation.ask_engine(note)


def test_a_reason_that_was_given_is_left_as_it_is() -> None:
    """Whoever says why, is told if that is too long."""
    assert note_of("ana", "a drill").reason == "a drill"
    assert validation.ask_engine(note_of("ana", "x" * 501))
