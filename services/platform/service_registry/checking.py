"""How instances are: each is asked again and again, and is well or not by how often it failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.news import News
from tandemkit.supervise.alarm import Alarm, Turns
from tandemkit.supervise.errands import Errands

_TOGETHER_MAX = 32
Ask = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Health:
    """None: nobody has been asked yet."""

    well: bool | None = None
    cause: str = ""
    asked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    interval_s: float = 10.0
    failures_max: int = 2


@dataclass(slots=True)
class _Asked:
    url: str
    due_s: float
    failures: int = 0
    is_running: bool = False
    health: Health = field(default_factory=Health)


class Checker:
    """Asks at URLs by `ask`, which raises a Failure where something is not well. Sets `news` when
    one is well that was not, or the other way round.
    """

    def __init__(
        self,
        ask: Ask,
        clock: Clock,
        pace: Pace,
        news: News,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ask, self._clock, self._pace, self._news = ask, clock, pace, news
        self._draw = draw
        self._asked: dict[str, _Asked] = {}
        self._errands = Errands()
        self._room = asyncio.Semaphore(_TOGETHER_MAX)
        self._due = asyncio.Event()
        self._turns = Turns()

    def use(self, pace: Pace) -> None:
        """From the next check of each on; who waits for a later one waits no longer than that."""
        self._pace = pace
        latest_s = self._clock.monotonic_s() + pace.interval_s
        for one in self._asked.values():
            one.due_s = min(one.due_s, latest_s)
        self._due.set()

    def want(self, urls: Mapping[str, str]) -> None:
        """These are to be asked from now on, and no others. One whose URL changed begins anew."""
        for key in self._asked.keys() - urls.keys():
            del self._asked[key]
        now_s = self._clock.monotonic_s()
        for key, url in urls.items():
            known = self._asked.get(key)
            if known is None or known.url != url:
                self._asked[key] = _Asked(url, now_s)
        self._due.set()

    def health(self, key: str) -> Health:
        """Of one that is not asked, that nobody knows."""
        known = self._asked.get(key)
        return known.health if known else Health()

    async def settled(self, keys: Iterable[str], within_s: float) -> None:
        """Returns when each of them was asked, or is not to be, or the time is over."""
        wanted = list(keys)
        try:
            async with asyncio.timeout(within_s):
                while any(self._is_open(key) for key in wanted):
                    await self._turns.next()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Asks until cancelled."""
        alarm = Alarm(self._clock, self._due.set)
        try:
            while True:
                self._due.clear()
                now_s = self._clock.monotonic_s()
                idle = {key: one for key, one in self._asked.items() if not one.is_running}
                for key, one in idle.items():
                    if one.due_s <= now_s:
                        one.is_running = True
                        self._errands.start(self._check(key, one))
                later = [one.due_s for one in idle.values() if not one.is_running]
                alarm.set_to(min(later, default=None))
                await self._due.wait()
        finally:
            await alarm.end()
            await self._errands.end(grace_s=0)

    def _is_open(self, key: str) -> bool:
        known = self._asked.get(key)
        return known is not None and known.health.well is None

    async def _check(self, key: str, one: _Asked) -> None:
        cause = ""
        async with self._room:
            try:
                await self._ask(one.url)
            except Failure as error:
                cause = str(error)
        one.is_running = False
        one.due_s = self._clock.monotonic_s() + self._pace.interval_s * (0.9 + self._draw() / 5)
        was = one.health
        one.failures = one.failures + 1 if cause else 0
        # One that was never well is not given the benefit of a doubt.
        well = not cause or (was.well is True and one.failures < self._pace.failures_max)
        one.health = Health(well, cause, self._clock.now())
        self._due.set()
        if well is not was.well and self._asked.get(key) is one:
            self._turns.tell()
            self._news.set()
