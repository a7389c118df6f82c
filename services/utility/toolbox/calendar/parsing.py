"""Reading times from text: what has two readings is refused, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum

from services.utility.toolbox.calendar.zones import out_of_range
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_TIME = (
    r"(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?"
)
_ISO = re.compile(
    r"(?P<date>\d{4}-?W\d\d-?[1-7]|\d{4}-\d\d-\d\d|\d{8}|\d{4}-?\d{3})" rf"(?:[Tt ]{_TIME})?",
    re.ASCII,
)
_THREE_NUMBERS = re.compile(
    rf"(?P<a>\d{{1,4}})(?P<gap>[/.-])(?P<b>\d{{1,2}})(?P=gap)(?P<c>\d{{1,4}})(?:[Tt ]{_TIME})?",
    re.ASCII,
)
_RFC5322 = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? \S{2,5}"
)
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_READABLE = frozenset("YmdjHIMSfpzaAbByGuV%")


class Order(Enum):
    """Which of the three numbers of a date is what."""

    UNSPECIFIED = 0
    YEAR_MONTH_DAY = 1
    MONTH_DAY_YEAR = 2
    DAY_MONTH_YEAR = 3


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says: a civil time, aware where the text gives an offset."""

    time: datetime
    has_time: bool


def parse(text: str, order: Order) -> Parsed:
    """Reads one of the formats that the contract names."""
    try:
        for read in (_read_iso, _read_mail, _read_numbers):
            parsed = read(text, order)
            if parsed is not None:
                return parsed
    except ValueError as impossible:
        raise _unreadable() from impossible
    raise _unreadable()


def parse_as(text: str, layout: str) -> Parsed:
    """Reads one explicit format, which must say a whole date."""
    directives = frozenset(match[1] for match in _DIRECTIVE.finditer(layout))
    if not directives <= _READABLE:
        raise _unreadable("the format has a directive that is not supported", field="format")
    if not _says_date(directives):
        raise _unreadable("the format does not say a whole date", field="format")
    if "I" in directives and "p" not in directives:
        raise _ambiguous("the format has a 12-hour clock without its half of the day", "format")
    try:
        parsed = datetime.strptime(text, layout)  # noqa: DTZ007  # the text says whether it has an offset
    except (ValueError, re.error) as unreadable:
        raise _unreadable() from unreadable
    return Parsed(parsed, has_time=bool(directives & {"H", "I"}))


def instant_of(parsed: Parsed) -> datetime | None:
    """The instant, where the text said an offset."""
    if parsed.time.tzinfo is None:
        return None
    try:
        return parsed.time.astimezone(UTC)
    except OverflowError as beyond:
        raise out_of_range() from beyond


def _says_date(directives: frozenset[str]) -> bool:
    year = bool(directives & {"Y", "y"})
    month = bool(directives & {"m", "b", "B"})
    week = "G" in directives and "V" in directives
    return (year and ("j" in directives or (month and "d" in directives))) or (
        week and bool(directives & {"u", "a", "A"})
    )


def _read_iso(text: str, _order: Order) -> Parsed | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    written = match["date"]
    digits = written.replace("-", "")
    ordinal = len(digits) == 7 and "W" not in digits
    if ordinal:
        first = date(int(digits[:4]), 1, 1)
        day = first + timedelta(days=int(digits[4:]) - 1)
        if day.year != first.year:
            return None
        return _with_time(day, match)
    return _with_time(date.fromisoformat(written), match)


def _read_mail(text: str, _order: Order) -> Parsed | None:
    if _RFC5322.fullmatch(text) is None:
        return None
    zoned = re.sub(r" (GMT|UT|UTC)$", " +0000", text)
    layout = "%d %b %Y %H:%M:%S %z" if zoned.count(":") > 1 else "%d %b %Y %H:%M %z"
    weekday, _, rest = zoned.rpartition(", ")
    parsed = datetime.strptime(rest, layout)  # noqa: DTZ007  # the layout ends in %z
    if weekday and parsed.strftime("%a") != weekday:
        return None
    return Parsed(parsed, has_time=True)


def _read_numbers(text: str, order: Order) -> Parsed | None:
    match = _THREE_NUMBERS.fullmatch(text)
    if match is None:
        return None
    days = list(_readings(match["a"], match["b"], match["c"], order))
    if len(set(days)) > 1:
        raise _ambiguous("the text could mean two days", "order")
    return _with_time(days[0], match) if days else None


def _readings(a: str, b: str, c: str, order: Order) -> Iterator[date]:
    """The days that three numbers can mean; a year is known by its four digits."""
    four = 4
    candidates = []
    if len(a) == four and len(c) < four and order in (Order.UNSPECIFIED, Order.YEAR_MONTH_DAY):
        candidates.append((a, b, c))
    if len(c) == four and len(a) < four and order in (Order.UNSPECIFIED, Order.MONTH_DAY_YEAR):
        candidates.append((c, a, b))
    if len(c) == four and len(a) < four and order in (Order.UNSPECIFIED, Order.DAY_MONTH_YEAR):
        candidates.append((c, b, a))
    for year, month, day in candidates:
        try:
            yield date(int(year), int(month), int(day))
        except ValueError:
            continue


def _with_time(day: date, match: re.Match[str]) -> Parsed:
    if match["hour"] is None:
        return Parsed(datetime.combine(day, time()), has_time=False)
    fraction = (match["fraction"] or "0").ljust(6, "0")[:6]
    clock = time(
        int(match["hour"]),
        int(match["minute"]),
        int(match["second"] or 0),
        int(fraction),
        tzinfo=_offset(match["offset"]),
    )
    return Parsed(datetime.combine(day, clock), has_time=True)


def _offset(written: str | None) -> timezone | None:
    if written is None:
        return None
    if written in "Zz":
        return UTC
    digits = written[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if minutes > 59:
        raise ValueError(written)
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if written[0] == "-" else size)


def _unreadable(
    message: str = "the text is no time in the formats asked for", *, field: str = "text"
) -> CallerError:
    return CallerError(errors.ERROR_REASON_TIME_UNREADABLE, message, field=field)


def _ambiguous(message: str, field: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_TIME_AMBIGUOUS, message, field=field)
