"""Time as something that is handed in. The only file that reads the machine's clocks."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Protocol

from tandemkit.core import wall_timer

# For how long something took, never for when it is due: a stopwatch that no test needs to turn
# back.
stopwatch_s = time.perf_counter
_LINE_BYTES_MAX = 128
_SCHEDULED = "/proc/thread-self/schedstat"
# For so short a time the loop's own timers are cheaper than one of the kernel's, and nobody minds
# a clock that is set meanwhile.
_SOON_S = 1.0


def wanted_s() -> float:
    """Seconds for which the threads of the process have had a processor, and the one that asks has
    waited for one: on a crowded machine who is busy gets little.
    """
    had_s = time.process_time()
    try:
        # Not as a Path: a call that comes after a pause waits for this.
        file = os.open(_SCHEDULED, os.O_RDONLY)
        try:
            _ran_ns, waited_ns, _slices = os.read(file, _LINE_BYTES_MAX).split()
        finally:
            os.close(file)
    except OSError:  # no Linux, or a kernel that does not count it
        return had_s
    return had_s + int(waited_ns) / 1e9


class Clock(Protocol):
    """What code that depends on time is given."""

    def now(self) -> datetime:
        """Wall time in UTC: for people and records, never for measuring."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    async def sleep(self, duration_s: float) -> None:
        """Returns once `duration_s` seconds of this clock have passed."""

    async def sleep_until(self, moment: datetime) -> None:
        """Returns once `now` is not before `moment`, also where somebody sets the wall clock
        meanwhile: for what is due at a time that people name.
        """


def until_next_s(clock: Clock, every_s: float) -> float:
    """How long to sleep for what is done every `every_s` seconds, give or take a tenth at first: it
    is due when the clock shows a multiple of that, so all that is, in this process and others of
    the machine, wakes the processor once and not one by one.
    """
    left_s = every_s - clock.monotonic_s() % every_s
    # A timer may ring a little early, and is not to ring twice.
    return left_s if left_s > every_s / 10 else left_s + every_s


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    async def sleep_until(self, moment: datetime) -> None:
        while (left_s := (moment - self.now()).total_seconds()) > 0:
            if left_s > _SOON_S:
                await wall_timer.shows(moment)
            else:
                await asyncio.sleep(left_s)
