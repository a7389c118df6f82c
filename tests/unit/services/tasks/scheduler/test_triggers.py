"""When schedules come due, and which times they missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from services.tasks.scheduler.cron import read_cron
from services.tasks.scheduler.triggers import (
    Every,
    Missed,
    OnCalendar,
    Once,
    Until,
    jitter,
    missed,
    times,
)
from tandemkit.written.zones import zone_of

START = datetime(2026, 1, 1, tzinfo=UTC)
SPANS = st.timedeltas(timedelta(), timedelta(days=400))


def on_calendar(expression: str) -> OnCalendar:
    zone = zone_of("Europe/Berlin")
    assert zone is not None
    return OnCalendar(read_cron(expression), zone)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=366)), SPANS)
def test_an_interval_never_drifts(period: timedelta, passed: timedelta) -> None:
    """Every time is a multiple of the period behind the anchor, and the first behind the moment."""
    found = Every(START, period).after(START + passed)
    assert found is not None
    assert (found - START) % period == timedelta()
    assert START + passed < found <= START + passed + period


def test_what_is_asked_for_before_the_anchor_is_the_anchor() -> None:
    """And one time comes once."""
    assert Every(START, timedelta(days=1)).after(START - timedelta(days=9)) == START
    assert list(times(Once(START), START - timedelta(days=1))) == [START]
    assert Once(START).after(START) is None


def test_nothing_comes_behind_the_end() -> None:
    """The end itself is still meant."""
    end = START + timedelta(hours=2)
    found = list(times(Until(Every(START, timedelta(hours=1)), end), START))
    assert found == [START + timedelta(hours=1), end]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["*/57 * * * *", "0 4 * * *", "0 0 1 1 *", "30 2 * * SUN"]),
    SPANS,
    st.integers(1, 50),
)
def test_missed_times_are_the_last_ones_and_are_counted(
    expression: str, passed: timedelta, last_max: int
) -> None:
    """Just as if all had been written down; beyond a thousand nobody counts."""
    trigger, until = on_calendar(expression), START + passed
    every = list(takewhile(lambda one: one <= until, times(trigger, START)))
    found = missed(trigger, START, until, last_max)
    assert found == Missed(tuple(every[-last_max:]), min(len(every), 1000))


def test_a_schedule_that_slept_for_decades_is_looked_through_at_once() -> None:
    """Sixteen million minutes are not walked through."""
    until = START + timedelta(days=366 * 30)
    found = missed(on_calendar("* * * * *"), START, until, 3)
    assert found.last == tuple(until - timedelta(minutes=back) for back in (2, 1, 0))
    assert found.count == 1000


@given(st.text(max_size=9), st.datetimes(), st.timedeltas(timedelta(), timedelta(days=1)))
def test_jitter_is_the_same_for_whoever_asks(name: str, due: datetime, limit: timedelta) -> None:
    """And lies below its limit."""
    found = jitter(name, due, limit)
    assert found == jitter(name, due, limit)
    assert timedelta() <= found <= limit


def test_jitter_spreads_schedules_of_one_time() -> None:
    """A thousand of them over the whole hour."""
    hour = timedelta(hours=1)
    found = sorted(jitter(f"schedules/{number}", START, hour) for number in range(1000))
    assert found[100] < hour / 5
    assert found[900] > hour * 4 / 5
