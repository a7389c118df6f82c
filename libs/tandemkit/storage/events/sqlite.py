"""Events in one SQLite file: for one machine, and one process that owns it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tandemkit.core.clock import Clock
from tandemkit.storage.events.appends import Append, Outcome, settled
from tandemkit.storage.events.chain import head_of
from tandemkit.storage.events.news import News
from tandemkit.storage.events.protocol import (
    PAGE_EVENTS_MAX,
    Appended,
    Event,
    Head,
    NewEvent,
    Snapshot,
    StreamConflict,
    check_events,
    check_limit,
    check_name,
)
from tandemkit.storage.events.rows import (
    beyond,
    chained,
    event_of,
    page_of,
    snapshot_of,
    snapshot_values_of,
    values_of,
)
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.supervise.tasks import Tasks

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL,
    UNIQUE (stream, version)
) STRICT;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
INSERT OR IGNORE INTO head (one, position, digest) VALUES (1, 0, zeroblob(32));
CREATE TABLE IF NOT EXISTS snapshots (
    stream TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""
_HEAD = "SELECT position, digest FROM head"
_MOVE_HEAD = "UPDATE head SET position = ?, digest = ?"
_VERSION = "SELECT coalesce(max(version), 0) FROM events WHERE stream = ?"
_KNOWN = "SELECT * FROM events WHERE id = ?"
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_READ = "SELECT * FROM events WHERE stream = ? AND version > ? ORDER BY version LIMIT ?"
_READ_ALL = "SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?"
_READ_SOME = """
SELECT * FROM events WHERE position > ? AND stream >= ? AND stream < ?
ORDER BY position LIMIT ?
"""
_SNAPSHOT = "SELECT stream, version, kind, content, digest FROM snapshots WHERE stream = ?"
_KEEP = """
INSERT INTO snapshots (stream, version, kind, content, digest) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, kind = excluded.kind,
    content = excluded.content, digest = excluded.digest
WHERE excluded.version > snapshots.version
"""


class SqliteEvents:
    """`tandemkit.storage.events.protocol.EventStore`, from `sqlite_events`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._writer = Connection(path, _SCHEMA)
        self._reader = Connection(path)
        self._clock = clock
        self._news = News()
        self._group = GroupCommit(self._commit)
        self.run = self._group.run

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | None = None
    ) -> Appended:
        check_name(stream)
        check_events(events)
        return await self._group.do(Append(stream, tuple(events), expected))

    async def read(
        self, stream: str, after: int = 0, limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        check_limit(limit)
        return await self._reader.do(
            lambda database: _events(database, _READ, stream, after, limit)
        )

    async def read_all(
        self, after: int = 0, prefix: str = "", limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        check_limit(limit)
        if not prefix:
            return await self._reader.do(
                lambda database: _events(database, _READ_ALL, after, limit)
            )
        some = (after, prefix, beyond(prefix), limit)
        return await self._reader.do(lambda database: _events(database, _READ_SOME, *some))

    def follow(self, after: int = 0, prefix: str = "") -> AsyncGenerator[Event, None]:
        return self._news.follow(self, after, prefix)

    async def keep_snapshot(self, snapshot: Snapshot) -> None:
        def keep(database: sqlite3.Connection) -> None:
            version = _number(database, _VERSION, snapshot.stream)
            if not 0 < snapshot.version <= version:
                raise StreamConflict(snapshot.stream, snapshot.version, version)
            database.execute(_KEEP, snapshot_values_of(snapshot))

        await self._writer.do(keep)

    async def snapshot(self, stream: str) -> Snapshot | None:
        row = await self._reader.do(
            lambda database: database.execute(_SNAPSHOT, (stream,)).fetchone()
        )
        return None if row is None else snapshot_of(row)

    async def head(self) -> Head:
        return await self._reader.do(_head)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _commit(self, batch: Sequence[Append]) -> Sequence[Outcome]:
        time_us = int(self._clock.now().timestamp() * 1e6)
        outcomes = await self._writer.do(
            lambda database: [_appended(database, one, time_us) for one in batch]
        )
        self._news.arrived()
        return outcomes


def _appended(database: sqlite3.Connection, wanted: Append, time_us: int) -> Outcome:
    version = _number(database, _VERSION, wanted.stream)
    rows = (database.execute(_KNOWN, (event.id,)).fetchone() for event in wanted.events)
    known = {event.id: event for event in map(event_of, filter(None, rows))}
    if (outcome := settled(wanted, version, known)) is not None:
        return outcome
    events, appended = chained(wanted, _head(database), version, time_us)
    database.executemany(_INSERT, map(values_of, events))
    head = head_of(events[-1])
    database.execute(_MOVE_HEAD, (head.position, head.digest))
    return appended


def _events(database: sqlite3.Connection, query: str, *values: object) -> tuple[Event, ...]:
    return page_of(map(event_of, database.execute(query, values)))


def _number(database: sqlite3.Connection, query: str, *values: object) -> int:
    (number,) = database.execute(query, values).fetchone()
    return int(number)


def _head(database: sqlite3.Connection) -> Head:
    return Head(*database.execute(_HEAD).fetchone())


@asynccontextmanager
async def sqlite_events(path: Path, clock: Clock) -> AsyncIterator[SqliteEvents]:
    """The events of this file, which has to be on a local disk. Raises InUse, Damaged."""
    with owned(path):
        store = await asyncio.to_thread(SqliteEvents, path, clock)
        try:
            async with Tasks() as tasks:
                tasks.spawn("events:commit", store.run())
                yield store
        finally:
            store.close()
