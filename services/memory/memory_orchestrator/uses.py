"""What was found is remembered better. It is noted soon and together, so that no search waits; what
a kill loses of it is nobody's loss.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.held import Held
from services.memory.memory_orchestrator.place import Place
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged

PAUSE_S: Final = 5.0
# In one pause; of more those that were found most often.
_MOST: Final = 200
_WAITING_MAX: Final = 10_000


class Uses:
    def __init__(self, book: Book, clock: Clock) -> None:
        self._book, self._clock = book, clock
        self._found: Counter[Place] = Counter()
        self._latest = clock.now()
        self._due = asyncio.Event()

    def note(self, places: Iterable[Place]) -> None:
        if len(self._found) < _WAITING_MAX:
            self._found.update(places)
            self._latest = self._clock.now()
        if self._found:
            self._due.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._due.wait()
            await self._clock.sleep(PAUSE_S)
            self._due.clear()
            found, self._found = self._found, Counter()
            latest = self._latest
            with suppress(Unreachable, Refused, Damaged):
                await self._write(dict(found.most_common(_MOST)), latest)

    async def _write(self, counts: dict[Place, int], latest: datetime) -> None:
        held = await self._book.held(list(counts))
        await asyncio.gather(
            *(self._use(place, had, counts[place], latest) for place, had in held.items())
        )

    async def _use(self, place: Place, had: Held, count: int, latest: datetime) -> None:
        if had.record is None:
            return
        if not await self._book.replace(place, had, _used(had.record, count, latest)):
            # Somebody wrote it meanwhile: it counts with the next ones.
            self._found[place] += count
            self._due.set()


def _used(record: nouns.MemoryRecord, count: int, latest: datetime) -> nouns.MemoryRecord:
    record.memory.uses = min(record.memory.uses + count, 2**31 - 1)
    record.memory.last_used_at.FromDatetime(latest)
    return record
