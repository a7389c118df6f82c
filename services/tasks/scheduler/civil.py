"""When a cron expression comes true in a time zone, also while its clocks are changed.

As cron has it: a time of the day that is skipped comes right behind the gap, and one that comes
twice the first time; what means every so many minutes or hours goes by the time that passes.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.tasks.scheduler.cron import Cron

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def next_time(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first one behind `after`, in UTC; None where there is none before time ends."""
    try:
        return (_steady if cron.is_steady else _timed)(cron, zone, after)
    except OverflowError:
        return None


def instant(civil: datetime, zone: ZoneInfo) -> datetime:
    """When a clock there shows it, the first time; of a time that is skipped the moment at which
    the clock is put forward.
    """
    early, late = (civil.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if early >= late:
        return late
    # Skipped: read by the offset behind the change it lies before that, and the other way round.
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _timed(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Times of the day follow each other as their instants do, so the next on the clock is next."""
    local = after.astimezone(zone).replace(tzinfo=None)
    day = cron.day_from(local.date())
    while day is not None:
        for hour in cron.hours:
            for minute in cron.minutes:
                civil = datetime.combine(day, time(hour, minute))
                if civil > local and (found := instant(civil, zone)) > after:
                    return found
        day = cron.day_from(day + _DAY)
    return None


def _steady(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    local = after.astimezone(zone)
    at = (after - timedelta(seconds=local.second, microseconds=local.microsecond)) + _MINUTE
    while True:
        local = at.astimezone(zone)
        if not cron.fits_day(local.date()):
            day = cron.day_from(local.date() + _DAY)
            if day is None:
                return None
            at = _midnight(day, zone, at)
        elif cron.fits(local.date(), local.hour, local.minute):
            return at
        else:
            at = _leap(cron, zone, at, local)


def _leap(cron: Cron, zone: ZoneInfo, at: datetime, local: datetime) -> datetime:
    """Over minutes that do not fit: to the end of the hour, unless the clock is changed before."""
    ahead = (
        next((minute for minute in cron.minutes if minute > local.minute), 60)
        if local.hour in cron.hours
        else 60
    )
    there = at + (ahead - local.minute) * _MINUTE
    return there if there.astimezone(zone).utcoffset() == local.utcoffset() else at + _MINUTE


def _midnight(day: date, zone: ZoneInfo, at: datetime) -> datetime:
    """The beginning of a day behind `at`. A clock that is put back over midnight shows it twice."""
    return max(instant(datetime.combine(day, time()), zone), at + _MINUTE)
