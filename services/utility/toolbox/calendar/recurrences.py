"""Recurrence rules of RFC 5545, from daily up, expanded in bounded time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from dateutil.rrule import rrulestr

from services.utility.toolbox.calendar.zones import Moment, Policy, resolve
from services.utility.toolbox.offload import checkpoint
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

HORIZON_YEARS = 100
YEAR_MAX = 9999
OCCURRENCES_DEFAULT = 1_000

_FREQUENCIES: Final = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
# The largest absolute value of each list, and whether it counts from the end below 0.
_RANGES: Final = {
    "BYSECOND": (0, 59),
    "BYMINUTE": (0, 59),
    "BYHOUR": (0, 23),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (1, 31),
    "BYYEARDAY": (1, 366),
    "BYWEEKNO": (1, 53),
    "BYSETPOS": (1, 366),
}
_FROM_THE_END: Final = frozenset({"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"})
_WEEKDAY: Final = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d{1,3}", re.ASCII)
_POSITIVE: Final = re.compile(r"[1-9]\d{0,3}", re.ASCII)
_FORMS: Final = {
    "FREQ": re.compile("[A-Z]+"),
    "COUNT": _POSITIVE,
    "INTERVAL": _POSITIVE,
    "WKST": re.compile("MO|TU|WE|TH|FR|SA|SU"),
}
# Parts that mean something in rules of some frequencies only.
_FREQUENCIES_OF: Final = {
    "BYWEEKNO": frozenset({"YEARLY"}),
    "BYYEARDAY": frozenset({"YEARLY"}),
    "BYMONTHDAY": frozenset({"DAILY", "MONTHLY", "YEARLY"}),
}
_UNTIL: Final = re.compile(r"\d{8}(?:T\d{6}(?P<utc>Z)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. `until` is aware where the rule gave it in UTC."""

    text: str
    until: datetime | None
    endless: bool


@dataclass(frozen=True, slots=True)
class Expansion:
    """The occurrences, and whether the rule goes on after them."""

    occurrences: list[Moment]
    truncated: bool


def read_rule(source: str) -> Rule:
    """Checks a rule against RFC 5545, so that what goes to the library is known to be sound."""
    parts: dict[str, str] = {}
    for part in source.upper().split(";"):
        key, equals, value = part.partition("=")
        if not equals or key in parts:
            raise _refusal("the rule is not a list of NAME=VALUE parts", part=part)
        parts[key] = value
    frequency = parts.get("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise _refusal("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY", part="FREQ")
    until = _read_until(parts.pop("UNTIL", None))
    if until is not None and "COUNT" in parts:
        raise _refusal("COUNT and UNTIL exclude each other", part="COUNT")
    for key, value in parts.items():
        if not _is_sound(key, value, frequency):
            raise _refusal("a part of the rule is unknown or out of its range", part=key)
    text = ";".join(f"{key}={value}" for key, value in parts.items())
    return Rule(text, until, endless=until is None and "COUNT" not in parts)


def expand(
    rule: Rule, start: Moment, policy: Policy, *, excluded: frozenset[date], count_max: int
) -> Expansion:
    """The first `count_max` occurrences within HORIZON_YEARS. An excluded day counts for COUNT."""
    found: list[Moment] = []
    for civil in _civil_times(rule, start.local.replace(tzinfo=None, fold=0)):
        checkpoint()
        if civil is None:
            return Expansion(found, truncated=True)
        if civil.date() in excluded:
            continue
        moment = resolve(civil, start.zone, policy, field="start.policy")
        if _is_past(rule.until, civil, moment):
            break
        if len(found) == count_max:
            return Expansion(found, truncated=True)
        found.append(moment)
    return Expansion(found, truncated=False)


def _civil_times(rule: Rule, start: datetime) -> Iterator[datetime | None]:
    """The rule's times in order; None where the horizon ends it.

    The library looks for a match up to the year 9999 and cannot be stopped. The calendar repeats
    every 400 years, so the search runs that near to the end, and its finds are brought back.
    """
    away_years = (YEAR_MAX - HORIZON_YEARS - start.year) // 400 * 400
    horizon = start.year + HORIZON_YEARS
    try:
        search = rrulestr(rule.text, dtstart=start.replace(year=start.year + away_years))
    except ValueError as refused:
        raise _refusal("the rule contradicts itself", part="FREQ") from refused
    for far in search:
        year = far.year - away_years
        if year > min(horizon, YEAR_MAX):
            yield None
            return
        yield far.replace(year=year)


def _is_past(until: datetime | None, civil: datetime, moment: Moment) -> bool:
    if until is None:
        return False
    return moment.instant > until if until.tzinfo is not None else civil > until


def _read_until(value: str | None) -> datetime | None:
    """A date means its last moment, in the start's zone."""
    if value is None:
        return None
    match = _UNTIL.fullmatch(value)
    if match is None:
        raise _refusal("UNTIL is neither a date nor a time", part="UNTIL")
    try:
        until = datetime.fromisoformat(value.removesuffix("Z"))
    except ValueError as impossible:
        raise _refusal("UNTIL is no day or time that exists", part="UNTIL") from impossible
    if "T" not in value:
        return datetime.combine(until, time.max)
    return until.replace(tzinfo=UTC) if match["utc"] else until


def _is_sound(key: str, value: str, frequency: str) -> bool:
    if frequency not in _FREQUENCIES_OF.get(key, _FREQUENCIES):
        return False
    if key == "BYDAY":
        return all(_is_weekday(day, frequency) for day in value.split(","))
    if key in _RANGES:
        return all(_is_in_range(key, number) for number in value.split(","))
    form = _FORMS.get(key)
    return form is not None and form.fullmatch(value) is not None


def _is_weekday(value: str, frequency: str) -> bool:
    """An ordinal, as in -1FR, means something within a month or a year only."""
    match = _WEEKDAY.fullmatch(value)
    if match is None:
        return False
    if match[1] is None:
        return True
    return frequency in ("MONTHLY", "YEARLY") and 1 <= abs(int(match[1])) <= 53


def _is_in_range(key: str, value: str) -> bool:
    if _NUMBER.fullmatch(value) is None:
        return False
    low, high = _RANGES[key]
    number = int(value)
    return low <= (abs(number) if key in _FROM_THE_END else number) <= high


def _refusal(message: str, *, part: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_RECURRENCE_INVALID, message, field="rule", part=part)


def endless_refusal() -> CallerError:
    """The failure of a rule without an end, where the caller set none either."""
    return CallerError(
        errors.ERROR_REASON_RECURRENCE_INVALID,
        "a rule without COUNT or UNTIL needs occurrences_max",
        field="occurrences_max",
    )
