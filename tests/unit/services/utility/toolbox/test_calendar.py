"""Reading and writing times, business days and months."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.calendar import months, parsing, writing, zones
from services.utility.toolbox.calendar.business_days import BusinessCalendar
from services.utility.toolbox.calendar.parsing import Order
from services.utility.toolbox.calendar.writing import Style
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.written.zones import zone_names

CIVIL = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
ZONES = st.sampled_from(zone_names()).map(lambda name: zones.zone(name, field=""))
DAYS = st.dates(date(1990, 1, 1), date(2030, 12, 31))
WEEKENDS = st.frozensets(st.integers(1, 7), max_size=6)
HOLIDAYS = st.lists(st.dates(date(2009, 12, 1), date(2010, 3, 1)), max_size=20)
NEAR_DAYS = st.dates(date(2009, 12, 1), date(2010, 3, 1))


@given(CIVIL, ZONES)
def test_rfc3339_is_read_as_it_was_written(civil: datetime, place: ZoneInfo) -> None:
    """The instant survives the text, in every zone and down to the microsecond."""
    moment = zones.see(civil.replace(tzinfo=UTC), place)
    text = writing.write(moment.local, Style.RFC3339)
    assert parsing.instant_of(parsing.parse(text, Order.UNSPECIFIED)) == moment.instant


@given(CIVIL)
@pytest.mark.parametrize("style", [Style.ISO_WEEK_DATE, Style.ISO_ORDINAL_DATE])
def test_iso_dates_are_read_as_they_were_written(style: Style, civil: datetime) -> None:
    """Week and ordinal dates name the same day, also where the week's year differs."""
    text = writing.write(civil.replace(tzinfo=UTC), style)
    assert parsing.parse(text, Order.UNSPECIFIED).time.date() == civil.date()


@given(CIVIL.map(lambda time: time.replace(microsecond=0)))
@pytest.mark.parametrize("style", [Style.RFC5322, Style.HTTP_DATE])
def test_mail_and_http_dates_are_read_as_they_were_written(style: Style, civil: datetime) -> None:
    """Both name weekday and month in English, and lead back to the instant."""
    instant = civil.replace(tzinfo=UTC)
    text = writing.write(instant, style)
    assert parsing.instant_of(parsing.parse(text, Order.UNSPECIFIED)) == instant


@given(CIVIL.filter(lambda time: time.year >= 1000))
@pytest.mark.parametrize(
    "layout",
    ["%Y-%m-%d %H:%M:%S.%f %z", "%A, %d %B %Y %I:%M:%S %p %f", "%G-W%V-%u %H%M%S%f", "%j%%%Y %H"],
)
def test_explicit_formats_agree_with_python(layout: str, civil: datetime) -> None:
    """What is written is what `strftime` writes, and it is read back."""
    written = writing.write_as(civil.replace(tzinfo=UTC), layout)
    assert written == civil.replace(tzinfo=UTC).strftime(layout)
    assert parsing.parse_as(written, layout).time.date() == civil.date()


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("2024/05/06", Order.UNSPECIFIED, date(2024, 5, 6)),
        ("13/05/2024", Order.UNSPECIFIED, date(2024, 5, 13)),
        ("05/13/2024", Order.UNSPECIFIED, date(2024, 5, 13)),
        ("5.5.2024", Order.UNSPECIFIED, date(2024, 5, 5)),
        ("05/06/2024", Order.DAY_MONTH_YEAR, date(2024, 6, 5)),
        ("05/06/2024", Order.MONTH_DAY_YEAR, date(2024, 5, 6)),
        ("20240506", Order.UNSPECIFIED, date(2024, 5, 6)),
        ("2024-127", Order.UNSPECIFIED, date(2024, 5, 6)),
        ("2024-W19-1", Order.UNSPECIFIED, date(2024, 5, 6)),
    ],
)
def test_dates_with_one_reading_are_read(text: str, order: Order, day: date) -> None:
    """One reading, or an order that leaves one, is enough."""
    assert parsing.parse(text, order).time.date() == day


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("05/06/2024", errors.ERROR_REASON_TIME_AMBIGUOUS),
        ("05/06/24", errors.ERROR_REASON_TIME_UNREADABLE),
        ("2023-02-29", errors.ERROR_REASON_TIME_UNREADABLE),
        ("2023-366", errors.ERROR_REASON_TIME_UNREADABLE),
        ("2024-01-01T24:00:00", errors.ERROR_REASON_TIME_UNREADABLE),
        ("2024-01-01T10:00:61Z", errors.ERROR_REASON_TIME_UNREADABLE),
        ("2024-01-01T10:00:00+01:75", errors.ERROR_REASON_TIME_UNREADABLE),
        ("Tue, 01 May 2024 09:30:00 +0200", errors.ERROR_REASON_TIME_UNREADABLE),
        ("tomorrow", errors.ERROR_REASON_TIME_UNREADABLE),
        ("1714548600", errors.ERROR_REASON_TIME_UNREADABLE),
        ("٢٠٢٤-٠٥-٠١", errors.ERROR_REASON_TIME_UNREADABLE),
    ],
)
def test_what_cannot_be_read_is_refused_not_guessed(text: str, reason: int) -> None:
    """Two readings, no day, a wrong weekday: each is refused."""
    with pytest.raises(CallerError) as refused:
        parsing.parse(text, Order.UNSPECIFIED)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("%H:%M", errors.ERROR_REASON_TIME_UNREADABLE),
        ("%Y-%m", errors.ERROR_REASON_TIME_UNREADABLE),
        ("%Y-%m-%d %I", errors.ERROR_REASON_TIME_AMBIGUOUS),
        ("%Y-%m-%d %c", errors.ERROR_REASON_TIME_UNREADABLE),
        ("%Y-%m-%d %Y", errors.ERROR_REASON_TIME_UNREADABLE),
        ("%Y-%m-%d %", errors.ERROR_REASON_TIME_UNREADABLE),
    ],
)
def test_a_format_must_say_a_whole_time(layout: str, reason: int) -> None:
    """A format without a date, or with half a clock, would have to be guessed around."""
    with pytest.raises(CallerError) as refused:
        parsing.parse_as("2024-05-01 10", layout)
    assert refused.value.reason == reason


def test_offsets_of_local_mean_time_are_written_so_that_they_can_be_read() -> None:
    """RFC 3339 has no seconds in offsets, so such a time is written in UTC."""
    amsterdam = zones.zone("Europe/Amsterdam", field="")
    local = zones.see(datetime(1890, 1, 1, tzinfo=UTC), amsterdam).local
    assert writing.write(local, Style.RFC3339) == "1890-01-01T00:00:00Z"


def counted(calendar: BusinessCalendar, start: date, end: date) -> int:
    """Counts day by day: slow, and plainly right."""
    step = timedelta(days=1)
    if end < start:
        return -sum(calendar.count(day - step, day) for day in _days(end, start))
    return sum(calendar.count(day, day + step) for day in _days(start, end))


def _days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=offset) for offset in range((end - first).days)]


@given(NEAR_DAYS, WEEKENDS, HOLIDAYS)
def test_one_day_counts_unless_it_is_a_day_of_rest(
    day: date, weekend: frozenset[int], holidays: list[date]
) -> None:
    """A business day is one that is neither weekend nor holiday."""
    counts = BusinessCalendar(weekend, holidays).count(day - timedelta(days=1), day)
    assert counts == (day.isoweekday() not in weekend and day not in holidays)


@given(NEAR_DAYS, NEAR_DAYS, WEEKENDS, HOLIDAYS)
def test_long_stretches_count_as_their_days_do(
    start: date, end: date, weekend: frozenset[int], holidays: list[date]
) -> None:
    """The closed form is the sum over single days, in both directions."""
    calendar = BusinessCalendar(weekend, holidays)
    assert calendar.count(start, end) == counted(calendar, start, end)


@given(DAYS, st.integers(-2000, 2000), WEEKENDS, HOLIDAYS)
def test_walking_arrives_after_as_many_days_as_were_asked_for(
    start: date, days: int, weekend: frozenset[int], holidays: list[date]
) -> None:
    """Walking and counting are inverses, and the walk ends on a business day."""
    calendar = BusinessCalendar(weekend, holidays)
    found = calendar.walk(start, days)
    assert calendar.count(found.end - timedelta(days=1), found.end) == 1
    if days:
        assert calendar.count(start, found.end) == days == found.business_days
    else:
        assert found.end >= start


def test_a_walk_out_of_the_calendar_is_refused() -> None:
    """There is no business day after the last day."""
    with pytest.raises(CallerError) as refused:
        BusinessCalendar((6, 7), ()).walk(date(9999, 12, 20), 100)
    assert refused.value.reason == errors.ERROR_REASON_TIME_OUT_OF_RANGE


@given(st.integers(1, 9999), st.integers(1, 12))
def test_a_month_s_weeks_hold_each_day_once(year: int, month: int) -> None:
    """Weeks run from Monday to Sunday, in order, and leave no day out."""
    weeks = months.weeks(year, month)
    days = [day for week in weeks for day in week.days]
    assert [day.day for day in days] == list(range(1, months.length_days(year, month) + 1))
    assert all(week.days[0].isoweekday() == 1 for week in weeks[1:])
    assert all(day.isocalendar()[:2] == (w.iso_year, w.iso_week) for w in weeks for day in w.days)


@pytest.mark.parametrize(
    ("year", "western", "eastern"),
    [(2024, (3, 31), (5, 5)), (2025, (4, 20), (4, 20)), (1818, (3, 22), (4, 26))],
)
def test_easter_falls_where_the_tables_say(
    year: int, western: tuple[int, int], eastern: tuple[int, int]
) -> None:
    """Both churches, on one calendar."""
    assert months.easter_sundays(year) == (date(year, *western), date(year, *eastern))
    assert months.easter_sundays(1582) is None
