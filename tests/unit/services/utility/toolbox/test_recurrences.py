"""Recurrence rules: right, and bounded."""

from datetime import UTC, date, datetime

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.calendar import recurrences, zones
from services.utility.toolbox.calendar.zones import Moment, Policy, Reading
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

UTC_ZONE = zones.zone("UTC", field="")
PARTS = st.tuples(
    st.sampled_from(
        [
            "FREQ=DAILY",
            "FREQ=WEEKLY;BYDAY=MO,FR",
            "FREQ=WEEKLY;WKST=SU;BYDAY=SU,MO",
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "FREQ=MONTHLY;BYDAY=-1FR",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=TH",
            "FREQ=YEARLY;BYYEARDAY=-1",
            "FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0,30",
        ]
    ),
    st.sampled_from(["", ";INTERVAL=2", ";INTERVAL=7"]),
)
STARTS = st.datetimes(datetime(1600, 1, 1), datetime(9800, 1, 1)).map(
    lambda start: start.replace(microsecond=0)
)


def start_at(civil: datetime, name: str = "UTC") -> Moment:
    place = zones.zone(name, field="")
    return zones.resolve(civil, place, Policy.LATER, field="")


def expanded(
    rule: str,
    start: Moment,
    policy: Policy = Policy.LATER,
    excluded: frozenset[date] = frozenset(),
) -> list[Moment]:
    checked = recurrences.read_rule(rule)
    found = recurrences.expand(checked, start, policy, excluded=excluded, count_max=100)
    return found.occurrences


@given(PARTS, STARTS)
def test_occurrences_are_those_of_the_rule_in_its_own_years(
    parts: tuple[str, str], start: datetime
) -> None:
    """The search in far years finds what a search in the rule's own years finds."""
    rule = f"{''.join(parts)};COUNT=5"
    horizon = start.year + recurrences.HORIZON_YEARS
    expected = [time for time in rrulestr(rule, dtstart=start) if time.year <= horizon]
    found = [one.local.replace(tzinfo=None) for one in expanded(rule, start_at(start))]
    assert found == expected


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=366"]
)
def test_a_rule_that_never_matches_ends(rule: str) -> None:
    """The search has a horizon, so no rule runs for ever."""
    assert expanded(rule, start_at(datetime(2024, 1, 1))) == []


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20240103", "2024-01-03T09:00"),
        ("20240103T085959", "2024-01-02T09:00"),
        ("20240103T140000Z", "2024-01-03T09:00"),
        ("20240103T135959Z", "2024-01-02T09:00"),
    ],
)
def test_until_is_the_last_moment_that_counts(until: str, last: str) -> None:
    """A date lasts to its end, a local time is local, and a UTC time is an instant."""
    start = start_at(datetime(2024, 1, 1, 9), "America/New_York")
    found = expanded(f"FREQ=DAILY;UNTIL={until}", start)
    assert found[-1].local.replace(tzinfo=None) == datetime.fromisoformat(last)


def test_occurrences_keep_their_wall_time_over_clock_changes() -> None:
    """A meeting at two thirty stays there, and the policy decides on the day that has none."""
    start = start_at(datetime(2024, 3, 30, 2, 30), "Europe/Paris")
    later = expanded("FREQ=DAILY;COUNT=3", start)
    assert [one.local.hour for one in later] == [2, 3, 2]
    assert later[1].reading is Reading.MOVED
    with pytest.raises(CallerError) as refused:
        expanded("FREQ=DAILY;COUNT=3", start, policy=Policy.REJECT)
    assert refused.value.reason == errors.ERROR_REASON_LOCAL_TIME_SKIPPED


def test_excluded_days_are_counted_but_not_listed() -> None:
    """As RFC 5545 has it: COUNT counts the rule's own occurrences."""
    found = expanded(
        "FREQ=DAILY;COUNT=3", start_at(datetime(2024, 1, 1)), excluded=frozenset({date(2024, 1, 2)})
    )
    assert [one.local.day for one in found] == [1, 3]


def test_more_occurrences_than_asked_for_are_announced() -> None:
    """A cut list says that it is cut, and a whole one that it is whole."""
    rule, start = recurrences.read_rule("FREQ=DAILY;COUNT=3"), start_at(datetime(2024, 1, 1))
    for count_max, truncated in ((2, True), (3, False)):
        found = recurrences.expand(
            rule, start, Policy.LATER, excluded=frozenset(), count_max=count_max
        )
        assert found.truncated is truncated


def test_the_last_years_of_the_calendar_end_a_rule() -> None:
    """Nothing recurs after the year 9999."""
    found = expanded("FREQ=YEARLY", start_at(datetime(9997, 5, 1, tzinfo=UTC).replace(tzinfo=None)))
    assert [one.local.year for one in found] == [9997, 9998, 9999]


@pytest.mark.parametrize(
    "rule",
    [
        "COUNT=3",
        "FREQ=HOURLY;COUNT=3",
        "FREQ=SECONDLY",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=3;UNTIL=20240101",
        "FREQ=DAILY;UNTIL=20241301",
        "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYHOUR=-1",
        "FREQ=DAILY;BYEASTER=0",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYWEEKNO=1",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=DAILY;INTERVAL=99999",
        "FREQ=DAILY\nDTSTART:20200101",
        "RRULE:FREQ=DAILY",
        ";",
    ],
)
def test_rules_outside_of_the_contract_are_refused(rule: str) -> None:
    """Malformed, out of range, meaningless or unbounded: RECURRENCE_INVALID on the rule."""
    with pytest.raises(CallerError) as refused:
        recurrences.read_rule(rule)
    assert refused.value.reason == errors.ERROR_REASON_RECURRENCE_INVALID
    assert refused.value.field == "rule"
