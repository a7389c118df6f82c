"""State in a PostgreSQL database: for owners that may run on any machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tandemkit.storage.postgres_pool import Connection, Pool, pool, rows_of, transaction
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

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tandem_state (
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE SEQUENCE IF NOT EXISTS tandem_state_writes;
"""
# Writers of one owner take turns, so that what they check still holds when they write.
_TURN = "SELECT pg_advisory_xact_lock(hashtext('tandem_state'), hashtext(%s))"
_GET = "SELECT content, version FROM tandem_state WHERE owner = %s AND key = %s"
_ENTRIES = (
    "SELECT key, content, version FROM tandem_state"
    " WHERE owner = %s AND key > %s AND key >= %s AND key < %s ORDER BY key LIMIT %s"
)
_VERSIONS = "SELECT key, version FROM tandem_state WHERE owner = %s AND key = ANY(%s)"
_NEXT = "SELECT nextval('tandem_state_writes')"
_PUT = """
INSERT INTO tandem_state (owner, key, content, version) VALUES (%s, %s, %s, %s)
ON CONFLICT (owner, key) DO UPDATE SET content = excluded.content, version = excluded.version
"""
_DELETE = "DELETE FROM tandem_state WHERE owner = %s AND key = %s"
_REMAINS = (
    "PostgreSQL keeps deleted rows in the files of its tables until they are vacuumed and the room "
    "is used again, and in its write-ahead log until that is recycled; its backups are its owner's"
)


class PostgresState:
    """`tandemkit.storage.state.protocol.StateStore`, from `postgres_state`."""

    def __init__(self, connections: Pool, owner: str) -> None:
        self._connections = connections
        self._owner = owner

    async def get(self, key: str) -> Stored | None:
        check_key(key)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _GET, self._owner, key)
        return Stored(*rows[0]) if rows else None

    async def write(self, changes: Sequence[Change]) -> int:
        check_changes(changes)
        async with transaction(self._connections) as connection:
            await rows_of(connection, _TURN, self._owner)
            keys = [change.key for change in changes]
            versions = dict(await rows_of(connection, _VERSIONS, self._owner, keys))
            for change in changes:
                if refused := conflict(change, versions.get(change.key, 0)):
                    raise refused
            ((version,),) = await rows_of(connection, _NEXT)
            for change in changes:
                await self._make(connection, change, version)
        return int(version)

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        check_page(prefix, after, limit)
        part = (self._owner, after, prefix, prefix + KEYS_END, limit)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _ENTRIES, *part)
        return tuple(Entry(key, Stored(content, version)) for key, content, version in rows)

    async def scrub(self) -> tuple[str, ...]:
        return (_REMAINS,)

    async def _make(self, connection: Connection, change: Change, version: int) -> None:
        if change.content is None:
            await connection.execute(_DELETE, (self._owner, change.key))
        else:
            values = (self._owner, change.key, change.content, version)
            await connection.execute(_PUT, values)


@asynccontextmanager
async def postgres_state(dsn: str, owner: str) -> AsyncIterator[PostgresState]:
    """The state of `owner` in the database that libpq finds by `dsn`; its table is created if need
    be. Raises Unreachable.
    """
    async with pool(dsn, _SCHEMA) as connections:
        yield PostgresState(connections, owner)
