"""A month laid out in weeks."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from dateutil.easter import EASTER_ORTHODOX, EASTER_WESTERN, easter

GREGORIAN_YEAR_MIN = 1583


@dataclass(frozen=True, slots=True)
class Week:
    """The days of one month that fall into one ISO week."""

    iso_year: int
    iso_week: int
    days: list[date]


def is_leap(year: int) -> bool:
    return calendar.isleap(year)


def length_days(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def weeks(year: int, month: int) -> list[Week]:
    """The weeks of a month, Monday first. Days of its neighbours are left out."""
    days = (date(year, month, day) for day in range(1, length_days(year, month) + 1))
    return [
        Week(iso_year, iso_week, list(members))
        for (iso_year, iso_week), members in groupby(days, key=lambda d: d.isocalendar()[:2])
    ]


def easter_sundays(year: int) -> tuple[date, date] | None:
    """Western and eastern Easter on the Gregorian calendar; nothing before that calendar began."""
    if year < GREGORIAN_YEAR_MIN:
        return None
    return easter(year, EASTER_WESTERN), easter(year, EASTER_ORTHODOX)
