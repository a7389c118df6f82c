"""Events in a PostgreSQL database: for several machines. What it needs: docs/design/events.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.appends import Append, Outcome, settled
from tandemkit.storage.events.chain import head_of
from tandemkit.storage.events.news import News
from tandemkit.storage.events.protocol import (
    PAGE_BYTES_MAX,
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
    snapshot_of,
    snapshot_values_of,
    values_of,
)
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.postgres_pool import Connection, Pool, pool, rows_of, transaction
from tandemkit.supervise.tasks import Tasks

_PAUSE_S = 0.5
_CHANNEL = "tandem_events"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tandem_events (
    position bigint PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    id text COLLATE "C" NOT NULL UNIQUE,
    kind text NOT NULL,
    content bytea NOT NULL,
    time_us bigint NOT NULL,
    digest bytea NOT NULL,
    UNIQUE (stream, version)
);
CREATE TABLE IF NOT EXISTS tandem_events_head (
    one integer PRIMARY KEY CHECK (one = 1),
    position bigint NOT NULL,
    digest bytea NOT NULL
);
INSERT INTO tandem_events_head VALUES (1, 0, decode(repeat('00', 32), 'hex'))
ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS tandem_events_snapshots (
    stream text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    kind text NOT NULL,
    content bytea NOT NULL,
    digest bytea NOT NULL
);
CREATE OR REPLACE FUNCTION tandem_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'events are append-only'; END $$;
CREATE OR REPLACE TRIGGER tandem_events_are_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON tandem_events
FOR EACH STATEMENT EXECUTE FUNCTION tandem_events_are_append_only();
"""
_HEAD = "SELECT position, digest FROM tandem_events_head"
_MOVE_HEAD = "UPDATE tandem_events_head SET position = %s, digest = %s"
_VERSION = "SELECT coalesce(max(version), 0) FROM tandem_events WHERE stream = %s"
_KNOWN = "SELECT * FROM tandem_events WHERE id = ANY(%s)"
_INSERT = "INSERT INTO tandem_events VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
_PAGE = """
SELECT position, stream, version, id, kind, content, time_us, digest FROM (
    SELECT *, sum(octet_length(content)) OVER (ORDER BY position) - octet_length(content) AS before
    FROM (SELECT * FROM tandem_events WHERE {which} ORDER BY position LIMIT %s) AS found
) AS counted WHERE before < {bytes_max} ORDER BY position
"""
_READ, _READ_ALL, _READ_SOME = (
    _PAGE.format(which=which, bytes_max=PAGE_BYTES_MAX)
    for which in (
        "stream = %s AND version > %s",
        "position > %s",
        "position > %s AND stream >= %s AND stream < %s",
    )
)
_SNAPSHOT = (
    "SELECT stream, version, kind, content, digest FROM tandem_events_snapshots WHERE stream = %s"
)
_KEEP = """
INSERT INTO tandem_events_snapshots VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, kind = excluded.kind,
    content = excluded.content, digest = excluded.digest
WHERE excluded.version > tandem_events_snapshots.version
"""


class PostgresEvents:
    """`tandemkit.storage.events.protocol.EventStore`, from `postgres_events`."""

    def __init__(self, connections: Pool, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._news = News()
        self._group = GroupCommit(self._commit)
        self.commit = self._group.run

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
        return tuple(map(event_of, await self._rows(_READ, stream, after, limit)))

    async def read_all(
        self, after: int = 0, prefix: str = "", limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        check_limit(limit)
        if not prefix:
            return tuple(map(event_of, await self._rows(_READ_ALL, after, limit)))
        some = await self._rows(_READ_SOME, after, prefix, beyond(prefix), limit)
        return tuple(map(event_of, some))

    def follow(self, after: int = 0, prefix: str = "") -> AsyncGenerator[Event, None]:
        return self._news.follow(self, after, prefix)

    async def keep_snapshot(self, snapshot: Snapshot) -> None:
        async with transaction(self._connections) as connection:
            ((version,),) = await rows_of(connection, _VERSION, snapshot.stream)
            if not 0 < snapshot.version <= version:
                raise StreamConflict(snapshot.stream, snapshot.version, version)
            await connection.execute(_KEEP, snapshot_values_of(snapshot))

    async def snapshot(self, stream: str) -> Snapshot | None:
        rows = await self._rows(_SNAPSHOT, stream)
        return snapshot_of(rows[0]) if rows else None

    async def head(self) -> Head:
        ((position, digest),) = await self._rows(_HEAD)
        return Head(position, digest)

    async def listen(self) -> None:
        """Learns what others write, until cancelled. While it cannot, followers are sent away."""
        while True:
            try:
                async with transaction(self._connections) as connection:
                    await connection.set_autocommit(True)
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    # What was written while nobody listened.
                    self._news.arrived()
                    async for _ in connection.notifies():
                        self._news.arrived()
            except Unreachable:
                self._news.lost()
            await self._clock.sleep(_PAUSE_S)

    async def _commit(self, batch: Sequence[Append]) -> Sequence[Outcome]:
        time_us = int(self._clock.now().timestamp() * 1e6)
        async with transaction(self._connections) as connection:
            # Other writers wait here, so that positions become visible in their order.
            ((position, digest),) = await rows_of(connection, f"{_HEAD} FOR UPDATE")
            head = Head(position, digest)
            outcomes: list[Outcome] = []
            for wanted in batch:
                outcome, head = await _appended(connection, wanted, head, time_us)
                outcomes.append(outcome)
            if head.position > position:
                await connection.execute(_MOVE_HEAD, (head.position, head.digest))
                await connection.execute(f"NOTIFY {_CHANNEL}")
        return outcomes

    async def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with transaction(self._connections) as connection:
            return await rows_of(connection, query, *values)


async def _appended(
    connection: Connection, wanted: Append, head: Head, time_us: int
) -> tuple[Outcome, Head]:
    ((version,),) = await rows_of(connection, _VERSION, wanted.stream)
    identities = [event.id for event in wanted.events]
    found = map(event_of, await rows_of(connection, _KNOWN, identities))
    known = {event.id: event for event in found}
    if (outcome := settled(wanted, version, known)) is not None:
        return outcome, head
    events, appended = chained(wanted, head, version, time_us)
    async with connection.cursor() as cursor:
        await cursor.executemany(_INSERT, [values_of(event) for event in events])
    return appended, head_of(events[-1])


@asynccontextmanager
async def postgres_events(dsn: str, clock: Clock) -> AsyncIterator[PostgresEvents]:
    """The events of the database that libpq finds by `dsn`; its tables are created if need be.
    Raises Unreachable.
    """
    async with pool(dsn, _SCHEMA) as connections:
        store = PostgresEvents(connections, clock)
        async with Tasks() as tasks:
            tasks.spawn("events:commit", store.commit())
            tasks.spawn("events:listen", store.listen())
            yield store
