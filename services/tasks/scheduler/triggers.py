"""When a schedule comes due: pure, and a function of nothing but the moment that it is asked for.

A time that lies behind another is found without counting from the first, so nothing drifts and a
restart changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from services.tasks.scheduler.civil import next_time
from services.tasks.scheduler.cron import Cron

_MISSED_MAX = 1000
_SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))


class Trigger(Protocol):
    def after(self, moment: datetime) -> datetime | None:
        """The first time behind `moment`; None where there is none any more."""


@dataclass(frozen=True, slots=True)
class Once:
    at: datetime

    def after(self, moment: datetime) -> datetime | None:
        return self.at if moment < self.at else None


@dataclass(frozen=True, slots=True)
class Every:
    """At `anchor`, and every `period` from then on."""

    anchor: datetime
    period: timedelta

    def after(self, moment: datetime) -> datetime | None:
        if moment < self.anchor:
            return self.anchor
        try:
            return self.anchor + ((moment - self.anchor) // self.period + 1) * self.period
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class OnCalendar:
    cron: Cron
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        return next_time(self.cron, self.zone, moment)


@dataclass(frozen=True, slots=True)
class Until:
    """Another one's times, as long as they are not behind `end`."""

    trigger: Trigger
    end: datetime

    def after(self, moment: datetime) -> datetime | None:
        found = self.trigger.after(moment)
        return found if found is not None and found <= self.end else None


def times(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """All behind `after`, in order."""
    found = trigger.after(after)
    while found is not None:
        yield found
        found = trigger.after(found)


@dataclass(frozen=True, slots=True)
class Missed:
    """Times that have passed: the last of them, and how many there were, as far as anybody
    counts.
    """

    last: tuple[datetime, ...]
    count: int


def missed(trigger: Trigger, after: datetime, until: datetime, last_max: int) -> Missed:
    """Those behind `after` and not behind `until`. Beyond a thousand it looks for the last alone,
    so that a schedule which slept for years wakes at once.
    """
    found: deque[datetime] = deque(maxlen=last_max)
    count = 0
    for one in times(trigger, after):
        if one > until:
            break
        if count == _MISSED_MAX:
            return Missed(_last(trigger, after, until, last_max), count)
        count += 1
        found.append(one)
    return Missed(tuple(found), count)


def _last(
    trigger: Trigger, after: datetime, until: datetime, last_max: int
) -> tuple[datetime, ...]:
    found: deque[datetime] = deque(maxlen=last_max)
    for span in (*_SPANS, until - after):
        found.clear()
        for one in times(trigger, max(after, until - span)):
            if one > until:
                break
            found.append(one)
        if len(found) == last_max:
            break
    return tuple(found)


def jitter(name: str, due: datetime, limit: timedelta) -> timedelta:
    """How long after its time a firing waits, so that not all begin at once: the same whoever
    asks, and after every restart.
    """
    digest = hashlib.blake2b(f"{name} {due.isoformat()}".encode(), digest_size=8).digest()
    return limit * (int.from_bytes(digest) / 2**64)
