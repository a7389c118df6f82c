"""Writing times as text, in English whatever the machine's locale."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DIRECTIVE: Final = re.compile("%(.)")

# Not `strftime`: it leaves years before 1000 unpadded and follows the locale.
_PARTS: Final[dict[str, Callable[[datetime], str]]] = {
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "G": lambda t: f"{t.isocalendar().year:04}",
    "V": lambda t: f"{t.isocalendar().week:02}",
    "u": lambda t: str(t.isoweekday()),
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{t.hour % 12 or 12:02}",
    "M": lambda t: f"{t.minute:02}",
    "S": lambda t: f"{t.second:02}",
    "f": lambda t: f"{t.microsecond:06}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "z": lambda t: offset_text(t, separator=""),
    "Z": lambda t: t.tzname() or "",
    "a": lambda t: _DAYS[t.weekday()][:3],
    "A": lambda t: _DAYS[t.weekday()],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "%": lambda _: "%",
}


class Style(Enum):
    """The named ways to write a time."""

    RFC3339 = 1
    RFC5322 = 2
    ISO_WEEK_DATE = 3
    ISO_ORDINAL_DATE = 4
    HTTP_DATE = 5


_STYLES: Final[dict[Style, str]] = {
    Style.RFC5322: "%a, %d %b %Y %H:%M:%S %z",
    Style.ISO_WEEK_DATE: "%G-W%V-%u",
    Style.ISO_ORDINAL_DATE: "%Y-%j",
    Style.HTTP_DATE: "%a, %d %b %Y %H:%M:%S GMT",
}


def write_as(local: datetime, layout: str) -> str:
    """Writes by explicit directives, which the contract has checked."""
    return _DIRECTIVE.sub(lambda directive: _PARTS[directive[1]](local), layout)


def write(local: datetime, style: Style) -> str:
    """Writes an aware time in a named style."""
    if style is Style.RFC3339:
        return _rfc3339(local)
    return write_as(local.astimezone(UTC) if style is Style.HTTP_DATE else local, _STYLES[style])


def offset_text(local: datetime, *, separator: str) -> str:
    """The offset as +HH:MM; seconds are added where the zone has them (local mean times)."""
    offset = local.utcoffset() or timedelta()
    minutes, seconds = divmod(int(abs(offset).total_seconds()), 60)
    parts = [f"{minutes // 60:02}", f"{minutes % 60:02}", *([f"{seconds:02}"] if seconds else [])]
    return ("-" if offset < timedelta() else "+") + separator.join(parts)


def _rfc3339(local: datetime) -> str:
    """The format has no offsets with seconds, so such a time is written in UTC."""
    offset = local.utcoffset() or timedelta()
    if offset.total_seconds() % 60:
        local, offset = local.astimezone(UTC), timedelta()
    fraction = f".{local.microsecond:06}".rstrip("0") if local.microsecond else ""
    zone = offset_text(local, separator=":") if offset else "Z"
    return f"{local.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}{zone}"
