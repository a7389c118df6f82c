"""What comes due next: a heap of the nearest times, and the store's index behind it.

So a million schedules take as much memory as a thousand, and a restart reads a page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

from services.tasks.scheduler.book import Book, Kept, Wake, wake_of
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.supervise.errands import Errands

NEAREST_MAX = 2000
_PAUSE_S = 1.0
_LOGGER = logging.getLogger("services.tasks.scheduler")
Found = TypeVar("Found", bound=Kept | None)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Agenda:
    """Tells what is due, at the moment when it is, and sleeps until then.

    A time may be told that no longer holds: who is told looks at the record.
    """

    def __init__(self, book: Book, clock: Clock, nearest_max: int = NEAREST_MAX) -> None:
        self._book, self._clock, self._nearest_max = book, clock, nearest_max
        self._heap: list[Wake] = []
        # Whatever comes before it is in the heap; None: everything is.
        self._horizon: datetime | None = _LONG_AGO
        self._stir = asyncio.Event()
        self._errands = Errands()
        self._alarm: tuple[datetime, asyncio.Task[None]] | None = None

    def note(self, wake: Wake) -> None:
        """It stands in the store from now on."""
        if self._horizon is not None and wake.at >= self._horizon:
            return
        if not self._heap or wake < self._heap[0]:
            self._stir.set()
        heappush(self._heap, wake)
        if len(self._heap) >= 2 * self._nearest_max:
            nearest = sorted(set(self._heap))
            self._heap = nearest[: self._nearest_max]
            if len(nearest) > self._nearest_max:
                self._horizon = nearest[self._nearest_max].at

    async def noted(self, writing: Coroutine[Any, Any, Found]) -> Found:
        """What is written comes due, also where whoever wrote it hangs up."""

        async def run() -> Found:
            kept = await writing
            if kept is not None and (wake := wake_of(kept.record)):
                self.note(wake)
            return kept

        return await self._errands.finished(run())

    def look_again(self) -> None:
        """Has the index read anew, for others may have written to it."""
        self._horizon = _LONG_AGO
        self._heap.clear()
        self._stir.set()

    async def next(self) -> str:
        """Waits for a schedule that somebody has to look at."""
        while True:
            self._stir.clear()
            if not self._heap and self._horizon is not None:
                await self._read_on()
            elif self._heap and self._heap[0].at <= self._clock.now():
                return heappop(self._heap).schedule_id
            else:
                self._set_alarm()
                await self._stir.wait()

    async def end(self) -> None:
        await self._errands.end(grace_s=0)

    async def _read_on(self) -> None:
        """However long the store is away: whoever calls goes on meanwhile."""
        try:
            await self._read()
        except (Unreachable, Refused) as error:
            log.event(_LOGGER, logging.WARNING, "schedules.store_failed", cause=str(error))
            await self._clock.sleep(_PAUSE_S)
            self.look_again()

    async def _read(self) -> None:
        """What is noted meanwhile is in the heap, or in what is read."""
        self._horizon = None
        found = await self._book.wakes(self._nearest_max)
        if len(found) == self._nearest_max:
            self._horizon = found[-1].at
        known = {*self._heap, *found}
        self._heap = [one for one in known if self._horizon is None or one.at <= self._horizon]
        heapify(self._heap)

    def _set_alarm(self) -> None:
        """Rings no later than the first time; one time too often costs less than to set it anew
        whenever that moves back.
        """
        if not self._heap:
            return
        at = self._heap[0].at
        if self._alarm is not None and not self._alarm[1].done():
            if self._alarm[0] <= at:
                return
            self._alarm[1].cancel()
        self._alarm = (at, self._errands.start(self._ring(at)))

    async def _ring(self, at: datetime) -> None:
        await self._clock.sleep_until(at)
        self._stir.set()
