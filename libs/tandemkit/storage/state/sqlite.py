"""State in one SQLite file: for an owner on one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tandemkit.core.errors import Failure
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.storage.state.protocol import (
    KEYS_END,
    PAGE_ENTRIES_MAX,
    Change,
    Entry,
    Stored,
    check_changes,
    check_key,
    check_page,
    conflict,
)
from tandemkit.supervise.tasks import Tasks

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    key TEXT NOT NULL PRIMARY KEY,
    content BLOB NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writes (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO writes (one, version) VALUES (1, 0);
"""
_GET = "SELECT content, version FROM state WHERE key = ?"
_ENTRIES = """
SELECT key, content, version FROM state WHERE key > ? AND key >= ? AND key < ?
ORDER BY key LIMIT ?
"""
_VERSION = "SELECT version FROM state WHERE key = ?"
_NEXT = "UPDATE writes SET version = version + 1 RETURNING version"
_PUT = """
INSERT INTO state (key, content, version) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET content = excluded.content, version = excluded.version
"""
_DELETE = "DELETE FROM state WHERE key = ?"


class SqliteState:
    """`tandemkit.storage.state.protocol.StateStore`, from `sqlite_state`."""

    def __init__(self, path: Path) -> None:
        self._writer = Connection(path, _SCHEMA)
        self._reader = Connection(path)
        self._group: GroupCommit[Sequence[Change], int] = GroupCommit(self._commit)
        # Those that ask at the same time share one way to the reader's thread, which costs more
        # than what is done there.
        self._asked: GroupCommit[str, Stored | None] = GroupCommit(self._read)

    async def run(self) -> None:
        """Reads and writes what is wanted, until cancelled."""
        async with Tasks() as tasks:
            tasks.spawn("state:read", self._asked.run())
            await self._group.run()

    async def get(self, key: str) -> Stored | None:
        check_key(key)
        return await self._asked.do(key)

    async def write(self, changes: Sequence[Change]) -> int:
        check_changes(changes)
        return await self._group.do(tuple(changes))

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        check_page(prefix, after, limit)
        part = (after, prefix, prefix + KEYS_END, limit)
        rows = await self._reader.do(lambda database: database.execute(_ENTRIES, part).fetchall())
        return tuple(Entry(key, Stored(content, version)) for key, content, version in rows)

    async def scrub(self) -> tuple[str, ...]:
        await self._writer.scrub()
        return ()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _read(self, keys: Sequence[str]) -> Sequence[Stored | Failure | None]:
        return await self._reader.do(lambda database: [_stored(database, key) for key in keys])

    async def _commit(self, batch: Sequence[Sequence[Change]]) -> Sequence[int | Failure]:
        return await self._writer.do(lambda database: [_written(database, one) for one in batch])


def _stored(database: sqlite3.Connection, key: str) -> Stored | None:
    row = database.execute(_GET, (key,)).fetchone()
    return Stored(*row) if row else None


def _written(database: sqlite3.Connection, changes: Sequence[Change]) -> int | Failure:
    for change in changes:
        row = database.execute(_VERSION, (change.key,)).fetchone()
        if refused := conflict(change, row[0] if row else 0):
            return refused
    (version,) = database.execute(_NEXT).fetchone()
    for change in changes:
        if change.content is None:
            database.execute(_DELETE, (change.key,))
        else:
            database.execute(_PUT, (change.key, change.content, version))
    return int(version)


@asynccontextmanager
async def sqlite_state(path: Path) -> AsyncIterator[SqliteState]:
    """The state in this file, which has to be on a local disk. Raises InUse, Damaged."""
    with owned(path):
        store = await asyncio.to_thread(SqliteState, path)
        try:
            async with Tasks() as tasks:
                tasks.spawn("state:commit", store.run())
                yield store
        finally:
            store.close()
