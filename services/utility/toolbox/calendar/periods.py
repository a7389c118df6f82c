"""Adding calendar periods to local times, and measuring them."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from services.utility.toolbox.calendar.zones import Moment, Policy, out_of_range, resolve, see

MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True)
class Period:
    """Months and days of the calendar, then exact time on the time line."""

    months: int = 0
    days: int = 0
    exact: timedelta = timedelta()


def add(start: Moment, period: Period, policy: Policy) -> tuple[Moment, bool]:
    """Adds a period; says whether the day was clamped to the last of its month.

    Without a calendar part the start is not resolved anew, so a second reading of a repeated
    hour stays the second.
    """
    moment, clamped = start, False
    if period.months or period.days:
        civil, clamped = _on_calendar(start.local, period)
        moment = resolve(civil, start.zone, policy, field="start.civil_time")
    if period.exact:
        try:
            moment = see(moment.instant + period.exact, start.zone)
        except OverflowError as beyond:
            raise out_of_range() from beyond
    return moment, clamped


def measure(start: Moment, end: Moment, policy: Policy) -> Period:
    """The largest months, then days, that do not pass the end, and the exact rest; all of one sign.

    Whatever the clock does on the way, `add(start, measure(start, end))` is `end`.
    """
    sign = 1 if end.instant >= start.instant else -1
    goal = see(end.instant, start.zone).local

    def passes(period: Period) -> bool:
        reached = add(start, period, policy)[0].instant
        return (reached - end.instant) * sign > timedelta()

    months = (goal.year - start.local.year) * MONTHS_PER_YEAR + goal.month - start.local.month
    while months and passes(Period(months)):
        months -= sign
    days = (goal.date() - _on_calendar(start.local, Period(months))[0].date()).days
    while days and passes(Period(months, days)):
        days -= sign
    rest = end.instant - add(start, Period(months, days), policy)[0].instant
    return Period(months, days, rest)


def _on_calendar(local: datetime, period: Period) -> tuple[datetime, bool]:
    """Months first, clamped to the month's last day, then days. The zone plays no part here."""
    civil = local.replace(tzinfo=None, fold=0)
    year, month = divmod(civil.year * MONTHS_PER_YEAR + civil.month - 1 + period.months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise out_of_range()
    day = min(civil.day, calendar.monthrange(year, month + 1)[1])
    try:
        shifted = civil.replace(year=year, month=month + 1, day=day) + timedelta(days=period.days)
    except OverflowError as beyond:
        raise out_of_range() from beyond
    return shifted, day < civil.day
