"""Vectors follow their passages: made behind them, made again where they are missing, and taken
away behind passages that are gone, also after a crash.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.memory.knowledge_base.library import Library, space_of
from services.memory.knowledge_base.names import OWN_NAMESPACE
from services.memory.knowledge_base.ports import Embedder
from services.memory.knowledge_base.vectors import Vectors
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.vectors.protocol import Point

_LOGGER = logging.getLogger("services.memory")
_BATCH: Final = 16
_STALE_BATCH: Final = 500
_AGAIN_S, _AGAIN_S_MAX = 5.0, 300.0
_PENDING = """
SELECT key, space, document, context, body FROM passages
WHERE is_embedded = 0 AND (space = :own) = :is_own ORDER BY space, key LIMIT :limit
"""
_HAS_WORK = """
SELECT EXISTS (SELECT 1 FROM passages WHERE is_embedded = 0)
    OR EXISTS (SELECT 1 FROM stale_vectors)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A passage without a vector."""

    key: int
    space: int
    document: int
    text: str
    # One of the platform's own, which are public.
    is_own: bool


class Following:
    """`run` does what there is to do, until cancelled."""

    def __init__(
        self, library: Library, vectors: Vectors, embedder: Embedder, clock: Clock
    ) -> None:
        self._library, self._vectors, self._embedder = library, vectors, embedder
        self._clock = clock
        self._due, self._turn = asyncio.Event(), asyncio.Lock()

    def go_on(self) -> None:
        """Passages came or went."""
        self._vectors.want()
        self._due.set()

    async def run(self) -> None:
        if await self._library.read(lambda one: one.execute(_HAS_WORK).fetchone()[0]):
            self._vectors.want()
        async with self._vectors.open():
            self._due.set()
            await self._follow()

    async def forget(self) -> None:
        """Takes away the vectors of what is gone, before it returns. Raises Unreachable."""
        await self._vectors.opening()
        async with self._turn:
            while keys := await self._library.read(_stale):
                collection = await self._vectors.current()
                if collection is not None:
                    await collection.delete([str(key) for key in keys])
                await self._library.write(partial(_forgotten, keys=keys))

    async def _follow(self) -> None:
        pause_s = _AGAIN_S
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.forget()
                while batch := await self._waiting():
                    await self._embed(batch)
                    pause_s = _AGAIN_S
            except Failure as error:
                log.event(_LOGGER, logging.INFO, "knowledge.vectors_wait", cause=str(error))
                await self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_S_MAX)
                self._due.set()

    async def _waiting(self) -> list[Waiting]:
        """Of others first: the platform's own documents can wait."""
        for is_own in (False, True):
            if batch := await self._library.read(partial(_pending, is_own=is_own)):
                return batch
        return []

    async def _embed(self, batch: Sequence[Waiting]) -> None:
        texts = [one.text for one in batch]
        found = await self._embedder.passages(texts, is_public=batch[0].is_own)
        collection = await self._vectors.made(found.space)
        points = {
            one.key: Point(
                str(one.key), vector, {"space": (str(one.space),), "document": (str(one.document),)}
            )
            for one, vector in zip(batch, found.vectors, strict=True)
        }
        async with self._turn:
            # Whoever deletes one now waits for its vector, and takes that away too.
            there = await self._library.read(partial(_there, keys=list(points)))
            if there:
                await collection.upsert([points[key] for key in there], found.space)
                await self._library.write(partial(_embedded, keys=there))


def _pending(database: sqlite3.Connection, *, is_own: bool) -> list[Waiting]:
    own = space_of(database, OWN_NAMESPACE)
    said = {"own": own, "is_own": is_own, "limit": _BATCH}
    return [
        Waiting(key, space, document, f"{context}\n{body}" if context else body, is_own)
        for key, space, document, context, body in database.execute(_PENDING, said)
    ]


def _stale(database: sqlite3.Connection) -> list[int]:
    rows = database.execute("SELECT passage FROM stale_vectors LIMIT ?", (_STALE_BATCH,))
    return [key for (key,) in rows]


def _forgotten(database: sqlite3.Connection, keys: Sequence[int]) -> None:
    said = "DELETE FROM stale_vectors WHERE passage = ?"
    database.executemany(said, [(key,) for key in keys])


def _there(database: sqlite3.Connection, keys: Sequence[int]) -> list[int]:
    """Those that nobody took away meanwhile."""
    chosen = "SELECT key FROM passages WHERE key IN (SELECT value FROM json_each(?))"
    return [key for (key,) in database.execute(chosen, (json.dumps(list(keys)),))]


def _embedded(database: sqlite3.Connection, keys: Sequence[int]) -> None:
    said = "UPDATE passages SET is_embedded = 1 WHERE key = ?"
    database.executemany(said, [(key,) for key in keys])
