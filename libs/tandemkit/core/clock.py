"""Time as something that is handed in. The only file that reads the machine's clocks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

# For how long something took, never for when it is due: a stopwatch that no test needs to turn
# back.
stopwatch_s = time.perf_counter


class Clock(Protocol):
    """What code that depends on time is given."""

    def now(self) -> datetime:
        """Wall time in UTC: for people and records, never for measuring."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    async def sleep(self, duration_s: float) -> None:
        """Returns once `duration_s` seconds of this clock have passed."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
