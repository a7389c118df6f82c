"""Cron expressions: what they mean in a zone, and where they mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tasks.scheduler.civil import next_time
from services.tasks.scheduler.cron import CronInvalid, read_cron
from tandemkit.written.zones import zone_of

_MINUTE = timedelta(minutes=1)
# Moments at which clocks are changed: by an hour, half of one, two, at midnight, by a day.
CHANGES = [
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 10, 24, 21, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("UTC", datetime(2026, 2, 28, 23, tzinfo=UTC)),
]


def field(first: int, last: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field's text, and the numbers that it means."""
    numbers = st.integers(first, last)
    spans = st.tuples(numbers, numbers).map(sorted)
    steps = st.integers(1, 20)
    every = frozenset(range(first, last + 1))
    return st.one_of(
        st.just(("*", every)),
        steps.map(lambda by: (f"*/{by}", frozenset(range(first, last + 1, by)))),
        st.lists(numbers, min_size=1, max_size=3).map(
            lambda found: (",".join(map(str, found)), frozenset(found))
        ),
        spans.map(lambda span: (f"{span[0]}-{span[1]}", frozenset(range(span[0], span[1] + 1)))),
        st.tuples(spans, steps).map(
            lambda both: (
                f"{both[0][0]}-{both[0][1]}/{both[1]}",
                frozenset(range(both[0][0], both[0][1] + 1, both[1])),
            )
        ),
    )


FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))


def walked(
    fields: tuple[tuple[str, frozenset[int]], ...], zone: str, after: datetime
) -> Iterator[datetime]:
    """The same times, found by looking at every minute of two days."""
    place = zone_of(zone)
    assert place is not None
    (minute, hour, day, month, weekday) = fields

    def means(civil: datetime) -> bool:
        of_month, of_week = civil.day in day[1], civil.isoweekday() % 7 in weekday[1]
        is_both = day[0].startswith("*") or weekday[0].startswith("*")
        is_day = of_month and of_week if is_both else of_month or of_week
        is_time = civil.minute in minute[1] and civil.hour in hour[1]
        return is_day and is_time and civil.month in month[1]

    is_steady = minute[0].startswith("*") or hour[0].startswith("*")
    at = after.replace(second=0, microsecond=0)
    before = at.astimezone(place)
    for _ in range(60 * 24 * 2):
        at += _MINUTE
        local = at.astimezone(place)
        civil = local.replace(tzinfo=None)
        comes_again = local.fold and local.replace(fold=0).utcoffset() != local.utcoffset()
        skipped = before.replace(tzinfo=None) + _MINUTE
        is_meant = means(civil) and (is_steady or not comes_again)
        while not is_steady and skipped < civil:
            is_meant = is_meant or means(skipped)
            skipped += _MINUTE
        before = local
        if is_meant:
            yield at


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.sampled_from(CHANGES), st.integers(-36_000, 36_000))
def test_times_are_those_that_a_walk_over_every_minute_finds(
    fields: tuple[tuple[str, frozenset[int]], ...], change: tuple[str, datetime], offset_s: int
) -> None:
    """Also where a zone's clocks are changed: nothing is lost, doubled or out of order."""
    name, changed = change
    zone = zone_of(name)
    assert zone is not None
    after = changed + timedelta(seconds=offset_s)
    cron = read_cron(" ".join(text for text, _ in fields))
    moment = after
    for expected in walked(fields, name, after):
        found = next_time(cron, zone, moment)
        assert found == expected
        moment = found
    beyond = next_time(cron, zone, moment)
    end = after.replace(second=0, microsecond=0) + timedelta(days=2)
    assert beyond is None or beyond > end


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Skipped, and right behind the gap once, though the hour behind it is meant as well.
        ("30 2 * * *", "America/New_York", "2026-03-08T06:00", ["03-08T07:00", "03-09T06:30"]),
        ("0,30 2-3 8 3 *", "America/New_York", "2026-03-08T06:00", ["03-08T07:00", "03-08T07:30"]),
        # Twice, and the first one counts; asked for in the second hour, the next day's.
        ("30 1 * * *", "America/New_York", "2026-11-01T05:00", ["11-01T05:30", "11-02T06:30"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T06:10", ["11-02T06:30"]),
        # By the time that passes.
        ("*/30 * * * *", "America/New_York", "2026-11-01T05:20", ["11-01T05:30", "11-01T06:00"]),
        ("0 9 * * MON-FRI", "Europe/Berlin", "2026-01-02T08:00", ["01-05T08:00", "01-06T08:00"]),
        # Either day, for neither begins with a star.
        ("0 0 13 * fri", "UTC", "2026-01-02T00:00", ["01-09T00:00", "01-13T00:00"]),
        ("0 0 * * 7", "UTC", "2026-01-02T00:00", ["01-04T00:00"]),
        ("5/20 0 2 jan *", "UTC", "2026-01-02T00:00", ["01-02T00:05", "01-02T00:25"]),
    ],
)
def test_examples_mean_what_cron_means(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    """By hand, in UTC."""
    place = zone_of(zone)
    assert place is not None
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    for text in expected:
        found = next_time(read_cron(expression), place, moment)
        assert found == datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)
        moment = found


def test_a_leap_day_is_found_and_a_day_that_no_month_has_is_not() -> None:
    """Also over the eight years around 2100 that have none."""
    zone = zone_of("UTC")
    assert zone is not None
    moment = datetime(2096, 3, 1, tzinfo=UTC)
    assert next_time(read_cron("0 0 29 2 *"), zone, moment) == datetime(2104, 2, 29, tzinfo=UTC)
    sunday = datetime(2128, 2, 29, tzinfo=UTC)
    assert next_time(read_cron("0 0 29 2 */7"), zone, datetime(2088, 3, 1, tzinfo=UTC)) == sunday
    assert next_time(read_cron("0 0 31 2 *"), zone, moment) is None
    assert next_time(read_cron("* * 30 2 *"), zone, moment) is None
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert next_time(read_cron("* * * * *"), zone, last) is None
    assert next_time(read_cron("0 0 * * *"), zone, last) is None


@pytest.mark.parametrize(
    ("expression", "name", "position", "found"),
    [
        ("60 * * * *", "minute", 1, "60"),
        ("* 24 * * *", "hour", 3, "24"),
        ("* * 0 * *", "day of the month", 5, "0"),
        ("0  4 * FOO *", "month", 8, "FOO"),
        ("0 4 * * MON-FR", "day of the week", 13, "FR"),
        ("1,2,x * * * *", "minute", 5, "x"),
        ("*/0 * * * *", "minute", 3, "0"),
        ("5-1 * * * *", "minute", 1, "5-1"),
        ("1,,2 * * * *", "minute", 3, ""),
        ("-5 * * * *", "minute", 1, ""),
        ("* * * *", "day of the week", 8, "* * * *"),
        ("0 * * * * *", "none", 11, "0 * * * * *"),
        ("@daily", "hour", 7, "@daily"),
        ("٣ * * * *", "minute", 1, "٣"),
    ],
)
def test_an_expression_that_means_nothing_is_refused_where_it_does(
    expression: str, name: str, position: int, found: str
) -> None:
    """The field by name, and the character by its place."""
    with pytest.raises(CronInvalid) as raised:
        read_cron(expression)
    said = raised.value.metadata
    assert said.items() >= {"cron_field": name, "position": str(position), "found": found}.items()


def test_a_refused_value_says_what_its_field_takes() -> None:
    """So that nobody has to look it up."""
    with pytest.raises(CronInvalid) as raised:
        read_cron("0 0 * 13 *")
    allowed = raised.value.metadata["allowed"]
    assert allowed == "*, 1-12, JAN-DEC, and lists and steps of them"
