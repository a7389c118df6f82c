"""Clocks that only a test, or a sleep, moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Sleepers wake in the order of their times, and only because `advance` was called."""

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._wall_sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, duration_s: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + duration_s, future))
        await future

    async def sleep_until(self, moment: datetime) -> None:
        future = asyncio.get_running_loop().create_future()
        self._wall_sleepers.append((moment, future))
        await future

    async def set_wall(self, moment: datetime) -> None:
        """As somebody who sets the machine's clock: no time passes, but `now` is another."""
        self._start += moment - self.now()
        await self.advance(0)

    async def advance(self, duration_s: float) -> None:
        """Moves time on, waking every sleeper at its own moment and letting it run before time goes
        further.
        """
        until_s = self._elapsed_s + duration_s
        await self._settle()
        while due := [one for one in self._waiting() if one[0] <= until_s]:
            wakes_s, future = min(due, key=lambda one: one[0])
            self._elapsed_s = max(self._elapsed_s, wakes_s)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._elapsed_s = until_s

    def _waiting(self) -> list[tuple[float, asyncio.Future[None]]]:
        """Who still sleeps, and until when by this clock's seconds."""
        self._sleepers = [one for one in self._sleepers if not one[1].done()]
        self._wall_sleepers = [one for one in self._wall_sleepers if not one[1].done()]
        by_wall = [
            ((moment - self._start).total_seconds(), future)
            for moment, future in self._wall_sleepers
        ]
        return [*self._sleepers, *by_wall]

    @staticmethod
    async def _settle() -> None:
        """Lets every task that can run now do so; a chain of wake-ups deeper than this is a test's
        own to await.
        """
        loop = asyncio.get_running_loop()
        for _ in range(20):
            turned = loop.create_future()
            loop.call_soon(turned.set_result, None)
            await turned


class Hasty(FakeClock):
    """A clock on which a sleep is over at once, and time has passed all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        await self.advance(duration_s)
