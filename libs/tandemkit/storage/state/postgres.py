"""State in a PostgreSQL database: for owners that may run on any machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.postgres_pool import (
    LOG_REMAINS,
    Connection,
    Pool,
    pool,
    rewritten,
    rows_of,
    transaction,
)
from tandemkit.storage.state.protocol import (
    GONE_MAX,
    KEYS_END,
    PAGE_ENTRIES_MAX,
    Change,
    Changed,
    Changes,
    Entry,
    Stored,
    VersionConflict,
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
CREATE TABLE IF NOT EXISTS tandem_state (
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE SEQUENCE IF NOT EXISTS tandem_state_writes;
CREATE INDEX IF NOT EXISTS tandem_state_version ON tandem_state (owner, version);
CREATE TABLE IF NOT EXISTS tandem_state_gone (
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX IF NOT EXISTS tandem_state_gone_version ON tandem_state_gone (owner, version);
CREATE TABLE IF NOT EXISTS tandem_state_forgotten (
    owner text COLLATE "C" NOT NULL PRIMARY KEY,
    version bigint NOT NULL
);
"""
# So many deletions of an owner lie between two looks at how many are known.
_LOOK = 128
# Of writes that share a transaction.
_BYTES_MAX = 8 * 1024 * 1024
# Writers of one owner take turns, so that what they check still holds when they write.
_TURN = "SELECT pg_advisory_xact_lock(hashtext('tandem_state'), hashtext(%s))"
_GET = "SELECT content, version FROM tandem_state WHERE owner = %s AND key = %s"
_ENTRIES = (
    "SELECT key, content, version FROM tandem_state"
    " WHERE owner = %s AND key > %s AND key >= %s AND key < %s ORDER BY key LIMIT %s"
)
_VERSIONS = "SELECT key, version FROM tandem_state WHERE owner = %s AND key = ANY(%s)"
# In their order, whatever plan finds them.
_NEXT = "SELECT nextval('tandem_state_writes') AS version FROM generate_series(1, %s) ORDER BY 1"
_PUT = """
INSERT INTO tandem_state (owner, key, content, version) VALUES (%s, %s, %s, %s)
ON CONFLICT (owner, key) DO UPDATE SET content = excluded.content, version = excluded.version
"""
_REMAINS = (
    "PostgreSQL keeps deleted rows in the file of the table tandem_state until it is rewritten "
    "(VACUUM FULL), and in its write-ahead log until that is overwritten; its replicas and backups "
    "are its owner's"
)
_FOUND = "SELECT key, content, version FROM tandem_state WHERE owner = %s AND key = ANY(%s)"
_DELETE = """
WITH was AS (DELETE FROM tandem_state WHERE owner = %s AND key = %s RETURNING owner, key)
INSERT INTO tandem_state_gone (owner, key, version) SELECT owner, key, %s FROM was
ON CONFLICT (owner, key) DO UPDATE SET version = excluded.version RETURNING version
"""
# A writer has its turn until its transaction has ended, so versions become visible in their order.
_CHANGED = """
WITH changes AS (
    SELECT key, content, version FROM tandem_state WHERE owner = %s AND version > %s
    UNION ALL
    SELECT key, NULL, version FROM tandem_state_gone WHERE owner = %s AND version > %s
    ORDER BY version LIMIT %s
)
SELECT key, content, version, 0 FROM changes
UNION ALL SELECT '', NULL, version, 1 FROM tandem_state_forgotten WHERE owner = %s
ORDER BY version
"""
_FORGET = """
WITH old AS (
    DELETE FROM tandem_state_gone WHERE owner = %s AND version <= (
        SELECT version FROM tandem_state_gone WHERE owner = %s
        ORDER BY version DESC OFFSET %s LIMIT 1
    ) RETURNING version
)
INSERT INTO tandem_state_forgotten (owner, version)
SELECT %s, max(version) FROM old HAVING max(version) IS NOT NULL
ON CONFLICT (owner) DO UPDATE SET version = excluded.version
"""


class PostgresState:
    """`tandemkit.storage.state.protocol.StateStore`, from `postgres_state`."""

    def __init__(self, connections: Pool, owner: str) -> None:
        self._connections = connections
        self._owner = owner
        self._gone = _LOOK
        self._group: GroupCommit[Sequence[Change], int] = GroupCommit(self._commit)

    async def get(self, key: str) -> Stored | None:
        check_key(key)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _GET, self._owner, key)
        return Stored(*rows[0]) if rows else None

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        check_found(keys)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _FOUND, self._owner, list(keys))
        return {key: Stored(content, version) for key, content, version in rows}

    async def changed(self, since: int = 0, limit: int = PAGE_ENTRIES_MAX) -> Changes:
        check_changed(since, limit)
        own = (self._owner, since)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _CHANGED, *own, *own, limit, self._owner)
        changed = [Changed(*row) for *row, is_horizon in rows if not is_horizon]
        check_known(since, max((row[2] for row in rows if row[3]), default=0))
        return whole_writes(changed, since, limit)

    async def run(self) -> None:
        """Writes what is wanted, until cancelled."""
        await self._group.run()

    async def write(self, changes: Sequence[Change]) -> int:
        check_changes(changes)
        return await self._group.do(tuple(changes))

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        check_page(prefix, after, limit)
        part = (self._owner, after, prefix, prefix + KEYS_END, limit)
        async with transaction(self._connections) as connection:
            rows = await rows_of(connection, _ENTRIES, *part)
        return tuple(Entry(key, Stored(content, version)) for key, content, version in rows)

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        is_rewritten = thoroughly and await rewritten(self._connections, "tandem_state")
        return (LOG_REMAINS if is_rewritten else _REMAINS,)

    async def _commit(self, batch: Sequence[Sequence[Change]]) -> Sequence[int | Failure]:
        """Writers of one owner take turns anyway, so those that wait share one."""
        outcomes: list[int | Failure] = []
        for part in _parts(batch):
            try:
                outcomes += await self._written(part)
            except Unreachable as error:
                outcomes += [error] * len(part)
        return outcomes

    async def _written(self, batch: Sequence[Sequence[Change]]) -> list[int | Failure]:
        async with transaction(self._connections) as connection:
            await rows_of(connection, _TURN, self._owner)
            keys = sorted({change.key for changes in batch for change in changes})
            known = dict(await rows_of(connection, _VERSIONS, self._owner, keys))
            fresh = [version for (version,) in await rows_of(connection, _NEXT, len(batch))]
            outcomes: list[int | Failure] = []
            made: dict[str, tuple[bytes | None, int]] = {}
            for changes, version in zip(batch, fresh, strict=True):
                refused = _refused(changes, known)
                outcomes.append(refused or version)
                if refused is None:
                    for change in changes:
                        made[change.key] = change.content, version
                        known[change.key] = 0 if change.content is None else version
            await self._make(connection, made)
        return outcomes

    async def _make(
        self, connection: Connection, made: Mapping[str, tuple[bytes | None, int]]
    ) -> None:
        puts = [(self._owner, key, *one) for key, one in made.items() if one[0] is not None]
        gone = [(self._owner, key, one[1]) for key, one in made.items() if one[0] is None]
        async with connection.cursor() as cursor:
            if puts:
                await cursor.executemany(_PUT.encode(), puts)
            if gone:
                await cursor.executemany(_DELETE.encode(), gone)
        self._gone += len(gone)
        if self._gone >= _LOOK:
            self._gone = 0
            own = (self._owner, self._owner, GONE_MAX, self._owner)
            await connection.execute(_FORGET.encode(), own)


def _refused(changes: Sequence[Change], known: Mapping[str, int]) -> VersionConflict | None:
    for change in changes:
        if refused := conflict(change, known.get(change.key, 0)):
            return refused
    return None


def _parts(batch: Sequence[Sequence[Change]]) -> Iterator[list[Sequence[Change]]]:
    """Writes that share a transaction, which is not to grow without end."""
    part: list[Sequence[Change]] = []
    size = 0
    for changes in batch:
        size += sum(len(change.content or b"") for change in changes)
        if part and size > _BYTES_MAX:
            yield part
            part, size = [], sum(len(change.content or b"") for change in changes)
        part.append(changes)
    if part:
        yield part


@asynccontextmanager
async def postgres_state(dsn: str, owner: str) -> AsyncIterator[PostgresState]:
    """The state of `owner` in the database that libpq finds by `dsn`; its table is created if need
    be. Raises Unreachable.
    """
    async with pool(dsn, _SCHEMA) as connections:
        store = PostgresState(connections, owner)
        async with Tasks() as tasks:
            tasks.spawn("state:commit", store.run())
            yield store
