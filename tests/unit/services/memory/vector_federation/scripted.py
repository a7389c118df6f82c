"""Stores that answer as a test says, and when."""

from __future__ import annotations

import asyncio

import numpy as np

from services.memory.vector_federation.asking import Store
from tandemkit.core.clock import Clock
from tandemkit.storage.vectors.protocol import Hit, Query, Space

SPACE = Space("model", "1", 4)
COLLECTION = "namespaces/default/collections/notes"
QUERY = Query(np.ones(4, dtype=np.float32), SPACE, 10)


class Scripted:
    """`services.memory.vector_federation.source.Source`. Without an answer it does not answer."""

    kind, instance = "scripted", ""

    def __init__(self, *ids: str) -> None:
        self.answer: tuple[Hit, ...] | Exception | None = hits(*ids)
        self.asked = 0
        # Where set, it answers no sooner.
        self.may_answer: asyncio.Event | None = None

    async def search(self, collection: str, query: Query) -> tuple[Hit, ...]:
        self.asked += 1
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or ()


def hits(*ids: str) -> tuple[Hit, ...]:
    return tuple(Hit(one, 1.0 - place / 100, {}) for place, one in enumerate(ids))


def stores(clock: Clock, **sources: Scripted) -> list[Store]:
    return [Store(name, 1.0, source, clock) for name, source in sources.items()]
