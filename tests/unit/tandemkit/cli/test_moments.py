"""Times as people type and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.cli.moments import duration_s, moment, rfc3339, rough

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("500ms", 0.5), ("1h30m", 5400), ("-2m", -120), ("1d", 86_400)],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    """And is in seconds without one."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1w", "1 h", "1h x", "now"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A unit that is unknown is not passed over."""
    with pytest.raises(ValueError, match=r".*"):
        duration_s(text)


def test_a_moment_may_be_told_from_now() -> None:
    """As `journalctl` and `docker logs` have it."""
    assert moment("now", lambda: NOON) == NOON
    assert moment("now-1h30m", lambda: NOON) == NOON - timedelta(minutes=90)
    assert moment("2026-11-21T13:00:00+01:00", lambda: NOON) == NOON


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read(told: datetime) -> None:
    """To the microsecond."""
    assert moment(rfc3339(told), lambda: NOON) == told


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0s"), (59.9, "59s"), (61, "1m 01s"), (3_700, "1h 01m"), (90_000, "1d 1h")],
)
def test_how_long_is_said_in_two_units(seconds: float, said: str) -> None:
    """The rest does not matter to who reads it."""
    assert rough(seconds) == said
