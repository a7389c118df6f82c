"""Moments and durations as people type them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|ns|d|h|m|s)")
_BEFORE_NOW = re.compile(r"now(?:-(.+))?")

Now = Callable[[], datetime]


def duration_s(text: str) -> float:
    """Seconds of `1.5s`, `500ms`, `1h30m` or, without a unit, `90`; else ValueError."""
    sign, size = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PART.findall(size)
    if "".join(number + unit for number, unit in parts) != size or not size:
        return float(text)
    return sign * sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def moment(text: str, now: Now) -> datetime:
    """`now`, `now-10m`, or ISO 8601, in UTC where it names no zone; else ValueError."""
    if before := _BEFORE_NOW.fullmatch(text):
        return now() - timedelta(seconds=duration_s(before[1] or "0"))
    told = datetime.fromisoformat(text)
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)


def rfc3339(told: datetime) -> str:
    """As protobuf's JSON has it."""
    return told.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def rough(seconds: float) -> str:
    """As a person says how long: the two largest units."""
    left = max(0, int(seconds))
    days, left = divmod(left, 86_400)
    hours, left = divmod(left, 3_600)
    minutes, left = divmod(left, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {left:02}s" if minutes else f"{left}s"
