"""The five fields of cron: minute, hour, day of the month, month, day of the week."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from tandemkit.core.errors import Failure

_MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_WEEKDAYS: Final = "SUN MON TUE WED THU FRI SAT"
_WORD: Final = re.compile(r"\S+")
# A month that does not fit takes one step. The rarest day, a 29 February of one weekday, is 40
# years of 39 steps away around 2100.
_STEPS_MAX: Final = 50 * 40


class CronInvalid(Failure):
    """An expression that means nothing. `position` counts its characters from 1."""

    def __init__(self, message: str, field: str, position: int, found: str) -> None:
        super().__init__(message, cron_field=field, position=position, found=found)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: Sequence[str] = ()


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS.split()),
    _Field("day of the week", 0, 7, _WEEKDAYS.split()),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """Which minutes of a calendar it means, whatever the zone.

    As cron has always had it, a day fits if it fits both of its fields, or, where neither begins
    with a star, one of them.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    # Monday is 1 and Sunday 7.
    weekdays: frozenset[int]
    is_either_day: bool
    # Whether it means every so many minutes or hours rather than times of the day.
    is_steady: bool

    def fits_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() in self.weekdays
        return of_month or of_week if self.is_either_day else of_month and of_week

    def fits(self, day: date, hour: int, minute: int) -> bool:
        return minute in self.minutes and hour in self.hours and self.fits_day(day)

    def day_from(self, day: date) -> date | None:
        """The first that fits, `day` itself included; None where no year has one. Raises
        OverflowError where time ends.
        """
        for _ in range(_STEPS_MAX):
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            elif self.fits_day(day):
                return day
            else:
                day += timedelta(days=1)
        return None


def read_cron(text: str) -> Cron:
    """Raises CronInvalid, which names the field and the character."""
    words = list(_WORD.finditer(text))
    if len(words) != len(_FIELDS):
        position = words[len(_FIELDS)].start() + 1 if len(words) > len(_FIELDS) else len(text) + 1
        missing = _FIELDS[len(words)].name if len(words) < len(_FIELDS) else "none"
        raise CronInvalid("an expression has five fields", missing, position, text)
    pairs = zip(_FIELDS, words, strict=True)
    minutes, hours, days, months, weekdays = (
        _values(field, word.group(), word.start() + 1) for field, word in pairs
    )
    stars = [word.group().startswith("*") for word in words]
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(number or 7 for number in weekdays),
        is_either_day=not (stars[2] or stars[4]),
        is_steady=stars[0] or stars[1],
    )


def _values(field: _Field, text: str, position: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_part(field, part, position))
        position += len(part) + 1
    return found


def _part(field: _Field, part: str, position: int) -> range:
    """A number, a name, `*` or a range, each perhaps with a step."""
    span, slash, step = part.partition("/")
    by = 1
    if slash:
        by = _number(field, step, position + len(span) + 1)
        if by == 0:
            at = position + len(span) + 1
            raise CronInvalid("a step is at least 1", field.name, at, step)
    if span == "*":
        return range(field.first, field.last + 1, by)
    low, dash, high = span.partition("-")
    first = _value(field, low, position)
    if dash:
        last = _value(field, high, position + len(low) + 1)
        if last < first:
            raise CronInvalid("a range begins before it ends", field.name, position, span)
    else:
        last = field.last if slash else first
    return range(first, last + 1, by)


def _value(field: _Field, text: str, position: int) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.first
    number = _number(field, text, position)
    if not field.first <= number <= field.last:
        raise _outside(field, position, text)
    return number


def _number(field: _Field, text: str, position: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise _outside(field, position, text)
    return int(text)


def _outside(field: _Field, position: int, found: str) -> CronInvalid:
    allowed = f"{field.first}-{field.last}"
    if field.names:
        allowed += f", {field.names[0]}-{field.names[-1]}"
    error = CronInvalid("a field has a value that it cannot have", field.name, position, found)
    error.metadata["allowed"] = f"*, {allowed}, and lists and steps of them"
    return error
