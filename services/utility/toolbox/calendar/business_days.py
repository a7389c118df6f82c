"""Counting days on which business is done, in time that does not depend on how many they are."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from services.utility.toolbox.calendar.zones import out_of_range

_LAST = date.max.toordinal()
_DAYS_PER_WEEK = 7


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a start that does not count up to an end that does."""

    end: date
    business_days: int


class BusinessCalendar:
    """Which days count. Weekdays are numbered as ISO does: Monday is 1, Sunday 7."""

    def __init__(self, weekend: Iterable[int], holidays: Iterable[date]) -> None:
        self._rest = frozenset(weekend)
        # Day 1 of the calendar is a Monday, so an ordinal's weekday is its remainder by 7.
        self._before_weekday = [0] * (_DAYS_PER_WEEK + 1)
        for day in range(1, _DAYS_PER_WEEK + 1):
            self._before_weekday[day] = self._before_weekday[day - 1] + (day not in self._rest)
        self._holidays = sorted(
            {day.toordinal() for day in holidays if day.isoweekday() not in self._rest}
        )

    def count(self, start: date, end: date) -> int:
        """Business days in (start, end]; before the start, minus those in [end, start)."""
        first, last = start.toordinal(), end.toordinal()
        if last >= first:
            return self._up_to(last) - self._up_to(first)
        return self._up_to(last - 1) - self._up_to(first - 1)

    def walk(self, start: date, business_days: int) -> Stretch:
        """The day that many business days away; 0 gives the start, or the first one after it."""
        origin = start.toordinal()
        if business_days > 0:
            end = self._first_reaching(self._up_to(origin) + business_days)
        elif business_days < 0:
            end = self._first_reaching(self._up_to(origin - 1) + business_days + 1)
        else:
            end = self._first_reaching(self._up_to(origin - 1) + 1)
        reached = date.fromordinal(end)
        return Stretch(reached, business_days or self.count(start, reached))

    def _up_to(self, ordinal: int) -> int:
        """Business days from the first day of the calendar to this one, itself included."""
        weeks, days = divmod(ordinal, _DAYS_PER_WEEK)
        worked = weeks * self._before_weekday[_DAYS_PER_WEEK] + self._before_weekday[days]
        return worked - bisect.bisect_right(self._holidays, ordinal)

    def _first_reaching(self, total: int) -> int:
        if not 1 <= total <= self._up_to(_LAST):
            raise out_of_range()
        return bisect.bisect_left(range(_LAST + 1), total, lo=1, key=self._up_to)
