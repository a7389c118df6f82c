"""The store of vectors beside the library, and how it is kept in agreement with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from services.memory.knowledge_base.library import Library, settle, settled
from tandemkit.core import log
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.vectors.protocol import (
    Collection,
    CollectionMissing,
    Plan,
    Space,
    SpaceMismatch,
    VectorStore,
)

_LOGGER = logging.getLogger("services.memory")
_SPACE: Final = "embedding space"
_OPEN_S: Final = 5.0


class Vectors:
    """One collection: that of the space in which passages are embedded now."""

    def __init__(
        self, library: Library, opened: Callable[[], AbstractAsyncContextManager[VectorStore]]
    ) -> None:
        self._library, self._make = library, opened
        self._store: VectorStore | None = None
        self._wanted, self._is_open = asyncio.Event(), asyncio.Event()

    def want(self) -> None:
        """Somebody needs them: until then nothing is opened."""
        self._wanted.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Enters once they are wanted. What the store has lost waits to be embedded again."""
        await self._wanted.wait()
        async with self._make() as store:
            self._store = store
            await self._reconcile()
            self._is_open.set()
            try:
                yield
            finally:
                self._is_open.clear()
                self._store = None

    async def opening(self) -> None:
        """Returns when they are open. Raises Unreachable where that takes too long."""
        self._wanted.set()
        try:
            async with asyncio.timeout(_OPEN_S):
                await self._is_open.wait()
        except TimeoutError as error:
            raise Unreachable("the vectors are not open yet") from error

    async def made(self, space: Space) -> Collection:
        """The collection for vectors of a space. Where it is another one than before, all passages
        wait again.
        """
        store = self._opened()
        if await self._library.read(lambda one: settled(one, _SPACE)) != _told(space):
            # In this order a crash between leaves passages whose vectors are seen to be lost.
            for name in await store.names():
                await store.drop(name)
            await self._library.write(lambda one: _begin_again(one, space))
        return await store.create(_name(space), Plan(space))

    async def current(self, space: Space | None = None) -> Collection | None:
        """None where nothing was embedded yet. Raises SpaceMismatch where the passages are of
        another space than asked for.
        """
        told = await self._library.search(lambda one: settled(one, _SPACE))
        if not told:
            return None
        if space is not None and told != _told(space):
            raise SpaceMismatch(_space_told(told), space)
        try:
            return await self._opened().open(_name(_space_told(told)))
        except CollectionMissing:
            return None

    def _opened(self) -> VectorStore:
        if self._store is None:
            raise Unreachable("the vectors are closed")
        return self._store

    async def _reconcile(self) -> None:
        """A store that lost vectors, or was taken away, gets them again."""
        marked = await self._library.read(_marked)
        collection = await self.current()
        there = await collection.count() if collection else 0
        if there >= marked:
            return
        found: set[int] = set()
        after = ""
        while collection and (points := await collection.page(after)):
            found.update(int(one.id) for one in points)
            after = points[-1].id
        lost = await self._library.write(lambda one: _lost(one, found))
        log.event(_LOGGER, logging.WARNING, "knowledge.vectors_lost", passages=lost)


def _marked(database: sqlite3.Connection) -> int:
    counted = "SELECT COUNT(*) FROM passages WHERE is_embedded = 1"
    return int(database.execute(counted).fetchone()[0])


def _lost(database: sqlite3.Connection, found: set[int]) -> int:
    rows = database.execute("SELECT key FROM passages WHERE is_embedded = 1").fetchall()
    lost = [(key,) for (key,) in rows if key not in found]
    database.executemany("UPDATE passages SET is_embedded = 0 WHERE key = ?", lost)
    return len(lost)


def _begin_again(database: sqlite3.Connection, space: Space) -> None:
    settle(database, _SPACE, _told(space))
    database.execute("UPDATE passages SET is_embedded = 0 WHERE is_embedded = 1")
    # Their collection went with all that was in it.
    database.execute("DELETE FROM stale_vectors")


def _told(space: Space) -> str:
    return json.dumps([space.model, space.version, space.dimension])


def _space_told(told: str) -> Space:
    return Space(*json.loads(told))


def _name(space: Space) -> str:
    return f"passages-{hashlib.sha256(_told(space).encode()).hexdigest()[:16]}"
