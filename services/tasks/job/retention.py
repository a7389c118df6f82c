"""Jobs that are over are kept for a while, and not too many of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.tasks.job.book import ENDED, Book
from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import job_pb2
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable

_PAUSE_S: Final = 60.0
_PAGE: Final = 1000
_KEEP_ENDED, _KEEP_DEAD, _ENDED_MAX = timedelta(days=1), timedelta(days=30), 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How long, and how many of each state."""

    ended: timedelta
    dead: timedelta
    most: int

    @classmethod
    def of(cls, settings: cfg.JobSettings) -> Terms:
        return cls(
            settings.keep_ended.ToTimedelta() if settings.HasField("keep_ended") else _KEEP_ENDED,
            settings.keep_dead.ToTimedelta() if settings.HasField("keep_dead") else _KEEP_DEAD,
            settings.ended_max or _ENDED_MAX,
        )


class Retention:
    def __init__(self, book: Book, terms: Terms, clock: Clock) -> None:
        self._book, self._terms, self._clock = book, terms, clock

    async def run(self) -> None:
        """Until cancelled. It looks once a minute while there is something to let go of."""
        while True:
            kept = True
            with suppress(Unreachable, Refused):
                kept = await self.sweep()
            if not kept:
                self._book.ended.clear()
                await self._book.ended.wait()
            await self._clock.sleep(_PAUSE_S)

    async def sweep(self) -> bool:
        """Whether any are kept."""
        kept = False
        for state in (*sorted(ENDED), job_pb2.JOB_STATE_DEAD):
            keep = self._terms.dead if state == job_pb2.JOB_STATE_DEAD else self._terms.ended
            kept = await self._sweep(job_pb2.JobState.Name(state), keep) or kept
        return kept

    async def _sweep(self, state: str, keep: timedelta) -> bool:
        number = job_pb2.JobState.Value(state)
        until = self._clock.now() - keep
        every = [*await self._book.listed(number, limit=_PAGE)]
        while len(page := every[-_PAGE:]) == _PAGE:
            more = await self._book.listed(number, page[-1].line, _PAGE)
            if not more:
                break
            every += more
        excess = max(0, len(every) - self._terms.most)
        gone = [one for place, one in enumerate(every) if place < excess or one.moment <= until]
        await self._book.delete(gone)
        return len(every) > len(gone)
