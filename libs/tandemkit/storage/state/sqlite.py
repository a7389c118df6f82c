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
    GONE_MAX,
    KEYS_END,
    PAGE_ENTRIES_MAX,
    Change,
    Changed,
    Changes,
    Entry,
    Stored,
    check_changed,
    check_changes,
    check_found,
    check_key,
    check_known,
    check_page,
    conflict,
    whole_writes,
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
CREATE INDEX IF NOT EXISTS state_version ON state (version);
CREATE TABLE IF NOT EXISTS gone (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS gone_version ON gone (version);
CREATE TABLE IF NOT EXISTS forgotten (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO forgotten (one, version) VALUES (1, 0);
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
_CHANGED = """
SELECT key, content, version FROM state WHERE version > ?1
UNION ALL SELECT key, NULL, version FROM gone WHERE version > ?1
ORDER BY version LIMIT ?2
"""
_GONE = "INSERT OR REPLACE INTO gone (key, version) VALUES (?, ?) RETURNING number"
_HORIZON = "SELECT version FROM forgotten"
_LAST = "SELECT coalesce(max(number), 0) FROM gone WHERE version <= ?"
_VERSION_MAX = 2**63 - 1
_FORGET = """
UPDATE forgotten SET version = max(
    version, (SELECT coalesce(max(version), 0) FROM gone WHERE number <= ?)
)
"""
_FORGOTTEN = "DELETE FROM gone WHERE number <= ?"


class SqliteState:
    """`tandemkit.storage.state.protocol.StateStore`, from `sqlite_state`."""

    def __init__(self, path: Path) -> None:
        self._writer = Connection(path, _SCHEMA)
        self._reader = Connection(path)
        self._group: GroupCommit[Sequence[Change], int] = GroupCommit(self._commit)
        # Those that ask at the same time share one way to the reader's thread, which costs more
        # than what is done there.
        self._asked: GroupCommit[Sequence[str], dict[str, Stored]] = GroupCommit(self._read)

    async def run(self) -> None:
        """Reads and writes what is wanted, until cancelled."""
        async with Tasks() as tasks:
            tasks.spawn("state:read", self._asked.run())
            await self._group.run()

    async def get(self, key: str) -> Stored | None:
        check_key(key)
        return (await self._asked.do((key,))).get(key)

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        check_found(keys)
        return await self._asked.do(tuple(keys))

    async def changed(self, since: int = 0, limit: int = PAGE_ENTRIES_MAX) -> Changes:
        check_changed(since, limit)
        rows, horizon = await self._reader.do(lambda database: _changed(database, since, limit))
        check_known(since, horizon)
        return whole_writes(rows, since, limit)

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

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        # The keys of what was deleted say something too.
        await self._writer.do(lambda database: _forget_all(database, upto))
        await self._writer.scrub()
        return ()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _read(self, asked: Sequence[Sequence[str]]) -> Sequence[dict[str, Stored] | Failure]:
        return await self._reader.do(lambda database: [_stored(database, keys) for keys in asked])

    async def _commit(self, batch: Sequence[Sequence[Change]]) -> Sequence[int | Failure]:
        return await self._writer.do(lambda database: [_written(database, one) for one in batch])


def _stored(database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Stored]:
    found = ((key, database.execute(_GET, (key,)).fetchone()) for key in keys)
    return {key: Stored(*row) for key, row in found if row}


def _changed(database: sqlite3.Connection, since: int, limit: int) -> tuple[list[Changed], int]:
    rows = [Changed(*row) for row in database.execute(_CHANGED, (since, limit))]
    (horizon,) = database.execute(_HORIZON).fetchone()
    return rows, horizon


def _written(database: sqlite3.Connection, changes: Sequence[Change]) -> int | Failure:
    for change in changes:
        row = database.execute(_VERSION, (change.key,)).fetchone()
        if refused := conflict(change, row[0] if row else 0):
            return refused
    (version,) = database.execute(_NEXT).fetchone()
    for change in changes:
        if change.content is not None:
            database.execute(_PUT, (change.key, change.content, version))
        elif database.execute(_DELETE, (change.key,)).rowcount:
            (number,) = database.execute(_GONE, (change.key, version)).fetchone()
            _forget(database, number - GONE_MAX)
    return int(version)


def _forget_all(database: sqlite3.Connection, upto: int | None) -> None:
    (number,) = database.execute(_LAST, (_VERSION_MAX if upto is None else upto,)).fetchone()
    _forget(database, number)


def _forget(database: sqlite3.Connection, number: int) -> None:
    """The deletions up to that one."""
    if number > 0:
        database.execute(_FORGET, (number,))
        database.execute(_FORGOTTEN, (number,))


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
