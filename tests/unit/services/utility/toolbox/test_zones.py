"""Local times, clock changes and periods, over many zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.utility.toolbox.calendar import periods, zones
from services.utility.toolbox.calendar.periods import Period
from services.utility.toolbox.calendar.zones import Moment, Policy, Reading
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.written.zones import zone_names

# Zones whose clocks do something odd: half-hour changes, changes at midnight, a skipped day, local
# mean time, double summer time, negative summer time.
ODD = (
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Europe/Amsterdam",
    "Europe/London",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Antarctica/Troll",
)
ZONES = st.one_of(st.sampled_from(ODD), st.sampled_from(zone_names())).map(
    lambda name: zones.zone(name, field="time_zone")
)
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
CIVIL = st.datetimes(datetime(1900, 1, 2), datetime(2099, 12, 30))
MOMENTS = st.builds(zones.see, INSTANTS, ZONES)
BENDING = st.sampled_from([Policy.EARLIER, Policy.LATER])


@given(MOMENTS)
def test_what_a_clock_shows_leads_back_to_the_instant(moment: Moment) -> None:
    """An instant's own wall time resolves to it, by the policy that its reading names."""
    policy = Policy.LATER if moment.reading is Reading.SECOND_OF_TWO else Policy.EARLIER
    civil = moment.local.replace(tzinfo=None)
    assert zones.resolve(civil, moment.zone, policy, field="").instant == moment.instant


@given(CIVIL, ZONES)
def test_the_policies_differ_exactly_at_clock_changes(civil: datetime, place: ZoneInfo) -> None:
    """Earlier comes before later where the clock changes, and both agree elsewhere."""
    earlier = zones.resolve(civil, place, Policy.EARLIER, field="")
    later = zones.resolve(civil, place, Policy.LATER, field="")
    assert earlier.instant <= later.instant
    unique = earlier.reading is Reading.UNIQUE and later.reading is Reading.UNIQUE
    assert (earlier.instant == later.instant) == unique
    if earlier.reading is Reading.MOVED:
        assert earlier.local.replace(tzinfo=None) < civil < later.local.replace(tzinfo=None)
    else:
        assert earlier.local.replace(tzinfo=None, fold=0) == civil


@given(CIVIL, ZONES)
def test_rejecting_refuses_exactly_what_the_policies_would_bend(
    civil: datetime, place: ZoneInfo
) -> None:
    """A refusal names a gap or a repetition, and there is one."""
    reading = zones.resolve(civil, place, Policy.EARLIER, field="").reading
    expected = {
        Reading.MOVED: errors.ERROR_REASON_LOCAL_TIME_SKIPPED,
        Reading.FIRST_OF_TWO: errors.ERROR_REASON_LOCAL_TIME_REPEATED,
    }
    if reading is Reading.UNIQUE:
        assert zones.resolve(civil, place, Policy.REJECT, field="").reading is reading
        return
    with pytest.raises(CallerError) as refused:
        zones.resolve(civil, place, Policy.REJECT, field="start")
    assert refused.value.reason == expected[reading]
    assert refused.value.field == "start"


@pytest.mark.parametrize(
    ("civil", "name", "policy", "instant", "reading"),
    [
        ("2024-03-31T02:30", "Europe/Paris", Policy.EARLIER, "2024-03-31T00:30", Reading.MOVED),
        ("2024-03-31T02:30", "Europe/Paris", Policy.LATER, "2024-03-31T01:30", Reading.MOVED),
        (
            "2024-10-27T02:30",
            "Europe/Paris",
            Policy.EARLIER,
            "2024-10-27T00:30",
            Reading.FIRST_OF_TWO,
        ),
        (
            "2024-10-27T02:30",
            "Europe/Paris",
            Policy.LATER,
            "2024-10-27T01:30",
            Reading.SECOND_OF_TWO,
        ),
        ("2011-12-30T12:00", "Pacific/Apia", Policy.LATER, "2011-12-30T22:00", Reading.MOVED),
    ],
)
def test_known_clock_changes(
    civil: str, name: str, policy: Policy, instant: str, reading: Reading
) -> None:
    """The answers are those of the almanac, a day that never was included."""
    place = zones.zone(name, field="")
    moment = zones.resolve(datetime.fromisoformat(civil), place, policy, field="")
    assert moment.instant == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert moment.reading is reading


@pytest.mark.parametrize(
    "name", ["", "europe/paris", "../etc/passwd", "Europe", "/UTC", "Mars/Base"]
)
def test_unknown_zones_are_refused_before_any_file_is_opened(name: str) -> None:
    """Only listed names reach the file system."""
    with pytest.raises(CallerError) as refused:
        zones.zone(name, field="time_zone")
    assert refused.value.reason == errors.ERROR_REASON_TIME_ZONE_UNKNOWN


@pytest.mark.parametrize("name", zone_names())
def test_every_listed_zone_loads(name: str) -> None:
    """The list and the files agree."""
    assert zones.zone(name, field="").key == name


@given(MOMENTS, MOMENTS, BENDING)
def test_adding_what_was_measured_arrives(start: Moment, end: Moment, policy: Policy) -> None:
    """Whatever the clocks do between, measuring and adding are inverses."""
    period = periods.measure(start, end, policy)
    arrived, _ = periods.add(start, period, policy)
    assert arrived.instant == end.instant


@given(MOMENTS, MOMENTS, BENDING)
def test_a_measured_period_has_one_sign_and_small_parts(
    start: Moment, end: Moment, policy: Policy
) -> None:
    """The parts never point against each other; the rest stays below two days of clock changes."""
    period = periods.measure(start, end, policy)
    none = timedelta()
    forward = (period.months > 0, period.days > 0, period.exact > none)
    backward = (period.months < 0, period.days < 0, period.exact < none)
    assert not (any(forward) and any(backward))
    assert abs(period.days) <= 31
    assert abs(period.exact) <= timedelta(days=2)


@given(MOMENTS, st.timedeltas(timedelta(days=-3000), timedelta(days=3000)), BENDING)
def test_exact_time_is_not_touched_by_clock_changes(
    start: Moment, exact: timedelta, policy: Policy
) -> None:
    """An exact period moves along the time line, and back again."""
    there, _ = periods.add(start, Period(exact=exact), policy)
    assert there.instant - start.instant == exact
    back, _ = periods.add(there, Period(exact=-exact), policy)
    assert back.local == start.local
    assert back.local.fold == start.local.fold


@given(MOMENTS, st.integers(-1200, 1200), BENDING)
def test_months_clamp_to_the_last_day_and_never_overflow(
    start: Moment, months: int, policy: Policy
) -> None:
    """The month arrived at is the one counted to; the day only ever shrinks."""
    civil, clamped = periods._on_calendar(start.local, Period(months))
    index = start.local.year * 12 + start.local.month + months
    assert civil.year * 12 + civil.month == index
    assert civil.day <= start.local.day
    assert clamped == (civil.day < start.local.day)
    assume(not clamped)
    assert periods._on_calendar(civil, Period(-months))[0].date() == start.local.date()


@pytest.mark.parametrize(
    "period", [Period(months=999_999), Period(days=9_999_999), Period(exact=timedelta(days=3e6))]
)
def test_leaving_the_calendar_is_refused(period: Period) -> None:
    """Years outside 1 to 9999 do not exist here."""
    start = zones.see(datetime(2024, 1, 31, tzinfo=UTC), zones.zone("UTC", field=""))
    with pytest.raises(CallerError) as refused:
        periods.add(start, period, Policy.LATER)
    assert refused.value.reason == errors.ERROR_REASON_TIME_OUT_OF_RANGE
