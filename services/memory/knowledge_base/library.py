"""The file that has everything but the vectors, and who reads and writes it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from services.memory.knowledge_base import shelf
from services.memory.knowledge_base.schema import SCHEMA
from tandemkit.storage.sqlite_file import Connection, owned

T = TypeVar("T")


class Library:
    """Each `read` and `write` is one transaction; a write is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._writer = Connection(path, SCHEMA)
        # Searches do not wait for listings and exports.
        self._reader, self._searcher = Connection(path), Connection(path)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.do(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.do(work)

    async def search(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A read that somebody waits for."""
        return await self._searcher.do(work)

    async def scrub(self) -> None:
        """What was deleted so far is in no file of the library any more."""
        await self._writer.do(shelf.merge_words)
        await self._writer.scrub()

    async def check(self) -> None:
        await self.read(lambda database: database.execute("SELECT 1").fetchone())

    def close(self) -> None:
        for one in (self._searcher, self._reader, self._writer):
            one.close()


@asynccontextmanager
async def library(path: Path) -> AsyncIterator[Library]:
    """In this file, which has to be on a local disk. Raises InUse, Damaged, Unreachable."""
    with owned(path):
        opened = await asyncio.to_thread(Library, path)
        try:
            yield opened
        finally:
            await asyncio.to_thread(opened.close)


def space_of(database: sqlite3.Connection, name: str) -> int:
    """Key of a namespace; 0, which none has, where nothing was put there yet."""
    found = database.execute("SELECT key FROM spaces WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def pending_in(database: sqlite3.Connection, space: int) -> int:
    """Passages that are found by words alone so far."""
    counted = "SELECT COUNT(*) FROM passages WHERE space = ? AND is_embedded = 0"
    return int(database.execute(counted, (space,)).fetchone()[0])


def settled(database: sqlite3.Connection, name: str) -> str:
    """What was noted under that name; empty for nothing."""
    found = database.execute("SELECT value FROM settled WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found else ""


def settle(database: sqlite3.Connection, name: str, value: str) -> None:
    said = "INSERT INTO settled (name, value) VALUES (?, ?) ON CONFLICT (name)"
    database.execute(f"{said} DO UPDATE SET value = excluded.value", (name, value))
