"""What a scripted model says at a time; that servers say it, tests of parts show."""

from pathlib import Path

import pytest

from tandemkit.testing.scripted_model import Script, pieces_of, write_model


def test_no_two_pieces_are_alike() -> None:
    """Each token has one successor, so a word that comes again takes the next along."""
    pieces = pieces_of("the dog and the cat and the cow.")
    assert "".join(pieces) == "the dog and the cat and the cow."
    assert pieces == ["the", " dog", " and", " the", " cat", " and the", " cow."]


def test_a_script_that_cannot_be_said_is_refused() -> None:
    """Its last word would have to be followed by two things."""
    with pytest.raises(ValueError, match="cannot end"):
        pieces_of("a b b")


def test_the_same_script_is_the_same_file(tmp_path: Path) -> None:
    """A server knows a model by its digest, and gets it in no time."""
    one, other = (
        write_model(tmp_path / name, Script("one two three")) for name in ("one", "other")
    )
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 500_000
