from __future__ import annotations

from tandemkit.core.errors import Bug, CallerError, TransientError


def test_metadata_is_text_and_shows_in_the_log() -> None:
    """Numbers become text, as the wire wants them, and a printed failure tells all of it."""
    error = CallerError(1, "text exceeds the limit", field="text", chars_max=5)
    assert error.metadata == {"chars_max": "5"}
    assert str(error) == "text exceeds the limit (chars_max='5')"


def test_each_kind_keeps_what_its_answer_needs() -> None:
    """A delay, a field, a reason; a bug has none of them."""
    assert TransientError(2, "busy", retry_after_s=0.5).retry_after_s == 0.5
    assert CallerError(3, "odd").field == ""
    assert str(Bug("counted wrong")) == "counted wrong"
