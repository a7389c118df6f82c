"""Whether the orchestrator can be reached, as everybody here found out together."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.news import News

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 3.0
_LOGGER: Final = logging.getLogger("services.memory.memory_client")


class Line:
    """While it is lost one call at a time tries it, after pauses that double."""

    def __init__(self, clock: Clock, news: News, draw: Callable[[], float] = random.random) -> None:
        """`news` hears when it is lost and found."""
        self._clock, self._news, self._draw = clock, news, draw
        self._failures = 0
        self._until_s = 0.0
        self.cause = ""

    @property
    def is_up(self) -> bool:
        """Whether the last call of it was answered."""
        return not self._failures

    def may_try(self) -> bool:
        """Whoever is told so while it is lost tries for all: the others are told no meanwhile."""
        now_s = self._clock.monotonic_s()
        if self._failures and now_s < self._until_s:
            return False
        if self._failures:
            self._until_s = now_s + self._pause_s()
        return True

    async def pause(self) -> None:
        """Until it may be tried; no time while it is up."""
        while not self.may_try():
            await self._clock.sleep(max(0.0, self._until_s - self._clock.monotonic_s()))

    def lost(self, cause: str) -> None:
        self._failures += 1
        self._until_s = self._clock.monotonic_s() + self._pause_s()
        if self._failures == 1:
            self.cause = cause
            log.event(_LOGGER, logging.WARNING, "orchestrator.lost", cause=cause)
            self._news.set()

    def answered(self) -> None:
        if self._failures:
            log.event(_LOGGER, logging.WARNING, "orchestrator.back", failures=self._failures)
            self._failures, self.cause = 0, ""
            self._news.set()

    def _pause_s(self) -> float:
        doubled_s = _PAUSE_S_MIN * 2.0 ** min(self._failures, 10)
        return min(_PAUSE_S_MAX, doubled_s) * (0.5 + self._draw() / 2)
