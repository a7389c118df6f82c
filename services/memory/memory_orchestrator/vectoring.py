"""Vectors are made behind the write: what waits for one is found by its words meanwhile. It waits
in the store, so a kill loses nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from typing import Final, Protocol

from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.held import Held
from services.memory.memory_orchestrator.place import Place
from tandem.memory.v1 import embedding_pb2
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.fleet_embedder import Vectors
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.storage.vectors.wire import space_of
from tandemkit.supervise.alarm import Alarm

_BATCH: Final = 32
# So many that wait are looked at for the next batch.
_LOOK: Final = 1000
_WITHIN_S: Final = 30.0
_PAUSE_S_MIN, _PAUSE_S_MAX = 1.0, 60.0
# Whoever wrote a memory makes its vector, unless that one is gone.
_OTHERS_AFTER: Final = timedelta(seconds=20)
_LOGGER = logging.getLogger("services.memory")


class Embedder(Protocol):
    async def passages(self, texts: Sequence[str], within_s: float) -> Vectors:
        """Raises Unreachable, Refused."""


class Vectoring:
    """Of one replica."""

    def __init__(self, book: Book, indices: Indices, embedder: Embedder, clock: Clock) -> None:
        self._book, self._indices = book, indices
        self._embedder, self._clock = embedder, clock
        self._own: set[Place] = set()
        # Not due yet: others have their turn before them.
        self._passed_over: set[Place] = set()
        self._failures = 0
        self._alarm = Alarm(clock, indices.wanted.set)

    def written(self, place: Place) -> None:
        """By this replica, so its vector is made here."""
        self._own.add(place)
        self._indices.attention.pay()
        self._indices.wanted.set()

    async def run(self) -> None:
        """Until cancelled. It does nothing while nothing waits."""
        try:
            await self._follow()
        finally:
            await self._alarm.end()

    async def _follow(self) -> None:
        while True:
            await self._indices.wanted.wait()
            self._indices.wanted.clear()
            try:
                await self._indices.follow()
                while batch := await self._waiting():
                    await self._make(batch)
                    self._failures = 0
                    # What was made is not waiting any more.
                    await self._indices.follow()
            except (Unreachable, Refused, Damaged) as error:
                self._failures += 1
                if self._failures == 1:
                    log.event(_LOGGER, logging.INFO, "memory.vectors_wait", cause=str(error))
                await self._clock.sleep(
                    min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(self._failures, 10))
                )
                self._indices.wanted.set()

    async def _waiting(self) -> dict[Place, Held]:
        """Some of those that wait; looks again later where only others' do."""
        places = await self._pending()
        if not places:
            return {}
        found = {
            place: had
            for place, had in (await self._book.held(places)).items()
            if had.record is not None and self._is_due(place, had.record)
        }
        self._passed_over = set(places) - set(found)
        if not found:
            self._alarm.set_to(self._clock.monotonic_s() + _OTHERS_AFTER.total_seconds())
        return found

    async def _pending(self) -> list[Place]:
        """Those first that were written here."""
        waiting = await self._indices.waiting(_LOOK, self._passed_over)
        if len(self._own) > _LOOK:
            self._own.intersection_update(waiting)
        return sorted(waiting, key=lambda place: place not in self._own)[:_BATCH]

    def _is_due(self, place: Place, record: nouns.MemoryRecord) -> bool:
        if place in self._own:
            return True
        written = record.memory.learned_at.ToDatetime(tzinfo=UTC)
        return self._clock.now() - written > _OTHERS_AFTER

    async def _make(self, batch: dict[Place, Held]) -> None:
        try:
            told = await self._embedder.passages(_texts(batch.values()), _WITHIN_S)
        except Refused:
            if len(batch) == 1:
                raise
            await self._make_singly(batch)
            return
        await self._indices.adopt(space_of(told.space))
        await asyncio.gather(
            *(
                self._book.replace(place, had, _with_vector(had, vector, told.space))
                for (place, had), vector in zip(batch.items(), told.vectors, strict=True)
            )
        )

    async def _make_singly(self, batch: dict[Place, Held]) -> None:
        """One of them is refused, or all are: then it is not for the text."""
        refused: dict[Place, Refused] = {}
        for place, had in batch.items():
            try:
                await self._make({place: had})
            except Refused as error:
                refused[place] = error
        if len(refused) == len(batch):
            raise next(iter(refused.values()))
        for place, refusal in refused.items():
            await self._book.replace(place, batch[place], _without(batch[place], refusal))


def _texts(batch: Iterable[Held]) -> list[str]:
    return [one.record.memory.text for one in batch if one.record is not None]


def _with_vector(
    had: Held, vector: Sequence[float], space: embedding_pb2.EmbeddingSpace
) -> nouns.MemoryRecord:
    record = _copy(had)
    record.vector = struct.pack(f"<{len(vector)}f", *vector)
    record.space.CopyFrom(space)
    record.memory.is_embedded = True
    record.unembeddable_cause = ""
    return record


def _without(had: Held, error: Refused) -> nouns.MemoryRecord:
    record = _copy(had)
    record.unembeddable_cause = error.metadata.get("cause", "refused")
    return record


def _copy(had: Held) -> nouns.MemoryRecord:
    record = nouns.MemoryRecord()
    if had.record is not None:
        record.CopyFrom(had.record)
    return record
