"""What can be worked out: read from the words of a request, with its arguments. Nothing is guessed:
what does not read one way is no work for a tool.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from services.language.request_coordinator.arithmetic import NoSum, worked_out
from tandem.utility.v1 import digest_pb2 as digest


@dataclass(frozen=True, slots=True)
class Sum:
    value: Fraction


@dataclass(frozen=True, slots=True)
class Conversion:
    value: float
    unit: str
    target: str


@dataclass(frozen=True, slots=True)
class DigestOf:
    algorithm: digest.DigestAlgorithm.ValueType
    text: str


@dataclass(frozen=True, slots=True)
class Between:
    """Days from one day to another; empty is today."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Shifted:
    """The day so long after another one, or before; empty is today."""

    start: str
    count: int
    unit: str  # of Period: `days`


@dataclass(frozen=True, slots=True)
class Clock:
    """What a clock shows now; empty is UTC."""

    place: str


@dataclass(frozen=True, slots=True)
class Weekday:
    day: str


Reckoning: TypeAlias = Sum | Conversion | DigestOf | Between | Shifted | Clock | Weekday
Read: TypeAlias = Callable[["re.Match[str]"], Reckoning | None]

_CHARS_MAX: Final = 1000
_LEAD: Final = (
    r"(?:(?:please|can you|could you)\s+)?"
    r"(?:(?:what(?:'s|\s+is|\s+are|\s+was)?|how much is|calculate|compute|work out|evaluate"
    r"|tell me|convert|give me|show)\s+)?(?:the\s+)?"
)
_NUMBER: Final = r"(?P<value>-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?)"
_DAY: Final = (
    r"(?:today|now|tomorrow|yesterday|\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}"
    r"|\d{1,2}(?:st|nd|rd|th)?\s+[a-z]{3,9},?\s+\d{4}|[a-z]{3,9}\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})"
)
_UNIT: Final = r"(?P<unit>[a-z°\u00b5][a-z°/^*0-9 ]{0,40}?)"
_TARGET: Final = r"(?P<target>[a-z°\u00b5][a-z°/^*0-9 ]{0,40}?)"
_ALGORITHMS: Final = {
    name.removeprefix("DIGEST_ALGORITHM_").replace("_", "").lower(): number
    for name, number in digest.DigestAlgorithm.items()
    if number
}
_ALGORITHM: Final = (
    r"(?P<algorithm>sha-?3?-?\d+(?:-\d+)?|md5|blake2[bs]|blake3|crc-?32|xxh3(?:-\d+)?)"
)
_KIND: Final = r"(?:hash|digest|checksum|sum)"
_LENGTH: Final = r"(?P<count>\d{1,6})\s+(?P<unit>day|week|month|year)s?"
_UNITS: Final = {
    "celsius": "degC",
    "degrees celsius": "degC",
    "c": "degC",
    "°c": "degC",
    "fahrenheit": "degF",
    "degrees fahrenheit": "degF",
    "f": "degF",
    "°f": "degF",
    "degrees": "degree",
    "kph": "km/h",
    "kmh": "km/h",
    "inches": "inch",
}
# Which people name without a number: `how many feet are in a mile`.
_COMMON_UNITS: Final = """
second minute hour day week month year inch foot feet yard mile km kilometer kilometre meter metre
cm centimeter mm millimeter gram kilogram kg pound ounce ton tonne liter litre gallon pint quart cup
acre hectare byte kilobyte kibibyte megabyte mebibyte gigabyte gibibyte bit joule calorie
"""
_COMMON: Final = frozenset(_COMMON_UNITS.split())
_NAMED_DAY: Final = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}")
_DAYS_BETWEEN: Final = (
    rf"(?:how many days|number of days|days)\s+(?:are there\s+|is it\s+|lie\s+)?"
    rf"(?:(?:between|from)\s+(?P<start>{_DAY})\s+(?:and|to|until|till)\s+(?P<end>{_DAY})"
    rf"|(?:until|till|to)\s+(?P<until>{_DAY})|since\s+(?P<since>{_DAY}))"
)


def reckoned(text: str) -> Reckoning | None:
    """What is to be worked out; None where that is not plain."""
    asked = text.strip().rstrip("?=. ").strip()
    if len(asked) > _CHARS_MAX:
        return None
    for pattern, read in _PATTERNS:
        found = pattern.fullmatch(asked)
        if found is not None and (work := read(found)) is not None:
            return work
    return _sum(asked)


def _sum(asked: str) -> Reckoning | None:
    rest = re.sub(rf"(?i)^{_LEAD}", "", asked, count=1)
    if _NAMED_DAY.fullmatch(rest):
        return None
    try:
        return Sum(worked_out(rest))
    except NoSum:
        return None


def _conversion(found: re.Match[str]) -> Reckoning | None:
    if not found["value"] and not {_single(found["unit"]), _single(found["target"])} <= _COMMON:
        return None
    value = float((found["value"] or "1").replace(",", ""))
    return Conversion(value, _unit(found["unit"]), _unit(found["target"]))


def _single(said: str) -> str:
    plain = said.strip().casefold()
    return _UNITS.get(plain, plain.removesuffix("s"))


def _unit(said: str) -> str:
    plain = " ".join(said.split())
    plain = _UNITS.get(plain.casefold(), plain)
    return re.sub(r"(?i)\s+per\s+", "/", plain)


def _digest(found: re.Match[str]) -> Reckoning | None:
    algorithm = _ALGORITHMS.get(re.sub(r"[-_]", "", found["algorithm"].casefold()))
    text = found["what"].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1]
    return DigestOf(algorithm, text) if algorithm else None


def _between(found: re.Match[str]) -> Reckoning | None:
    return Between(found["start"] or found["since"] or "", found["end"] or found["until"] or "")


def _shifted(found: re.Match[str]) -> Reckoning | None:
    told = found.groupdict()
    is_before = bool(told.get("ago") or told.get("before"))
    count = int(found["count"]) * (-1 if is_before else 1)
    return Shifted(told.get("day") or "", count, f"{found['unit'].lower()}s")


def _clock(found: re.Match[str]) -> Reckoning | None:
    return Clock(found["place"] or "")


def _weekday(found: re.Match[str]) -> Reckoning | None:
    return Weekday(found["day"] or "today")


_WHICH_DAY: Final = r"(?:date\s+|day\s+)?(?:is\s+|was\s+|will\s+)?(?:it\s+)?(?:be\s+)?"
_IN: Final = r"(?:are\s+)?(?:there\s+)?in\s+(?:an?\s+)?"
_WORDED: Final[tuple[tuple[str, Read], ...]] = (
    (rf"{_LEAD}{_NUMBER}\s*{_UNIT}\s+(?:in|to|into|as)\s+{_TARGET}", _conversion),
    (rf"how many {_TARGET}\s+{_IN}(?:{_NUMBER}\s*)?{_UNIT}", _conversion),
    (rf"{_LEAD}{_ALGORITHM}(?:\s+{_KIND})?\s+(?:of|for)\s+(?P<what>.+)", _digest),
    (rf"{_KIND}\s+(?P<what>.+?)\s+(?:with|using|by|as)\s+{_ALGORITHM}", _digest),
    (rf"{_LEAD}{_DAYS_BETWEEN}", _between),
    (rf"{_LEAD}(?:date|day)\s+(?:is\s+|will\s+)?(?:it\s+)?(?:be\s+)?in\s+{_LENGTH}", _shifted),
    (rf"{_LEAD}{_WHICH_DAY}{_LENGTH}\s+from\s+(?:now|today)", _shifted),
    (rf"{_LEAD}{_WHICH_DAY}{_LENGTH}\s+(?P<ago>ago)", _shifted),
    (rf"{_LEAD}{_WHICH_DAY}{_LENGTH}\s+(?:after|from)\s+(?P<day>{_DAY})", _shifted),
    (rf"{_LEAD}{_WHICH_DAY}{_LENGTH}\s+(?P<before>before)\s+(?P<day>{_DAY})", _shifted),
    (r"what\s+time\s+is\s+it(?:\s+now)?(?:\s+in\s+(?P<place>[\w/ +-]{2,40}))?", _clock),
    (
        rf"(?:what|which)\s+(?:week)?day(?:\s+of\s+the\s+week)?\s+(?:is|was)\s+(?P<day>{_DAY}|it)",
        _weekday,
    ),
    (rf"{_LEAD}(?:today's date|date(?:\s+of)?\s+(?P<day>today))", _weekday),
)
_PATTERNS: Final = tuple((re.compile(rf"(?i){pattern}"), read) for pattern, read in _WORDED)
