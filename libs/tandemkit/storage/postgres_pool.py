"""Connections to one PostgreSQL, and its failures in the words of storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tandemkit.reach.failure import Unreachable

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
Pool: TypeAlias = AsyncConnectionPool[Connection]
# Whoever asks is waiting: an answer that takes longer is none.
ANSWER_S_MAX = 5.0
_CONNECTIONS_MAX = 5
# What is the server's and not the statement's: among them a standby, which takes no writes.
_LOSSES = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.errors.InsufficientPrivilege,
    PoolTimeout,
)
# What no client can have removed.
LOG_REMAINS = (
    "PostgreSQL keeps deleted rows in its write-ahead log until that is overwritten; its replicas "
    "and backups are its owner's"
)
# Whoever reads or writes the table waits meanwhile: about a second for so much.
_REWRITTEN_BYTES_MAX = 64 * 1024 * 1024
_REWRITE_MS_MAX, _TURN_MS_MAX = 20_000, 2_000
_SIZE = "SELECT pg_total_relation_size(%s::regclass)"
# Two that start at once would both find nothing there, and both create it.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('tandem_schema'))"


@asynccontextmanager
async def pool(dsn: str, schema: str) -> AsyncIterator[Pool]:
    """To the database that libpq finds by `dsn`, in which `schema` has been run. Raises
    Unreachable.
    """
    limit_ms = int(ANSWER_S_MAX * 1000)
    options = {
        "connect_timeout": int(ANSWER_S_MAX),
        "options": f"-c statement_timeout={limit_ms} -c lock_timeout={limit_ms}",
    }
    connections: Pool = AsyncConnectionPool(
        dsn,
        kwargs=options,
        min_size=1,
        max_size=_CONNECTIONS_MAX,
        timeout=ANSWER_S_MAX,
        open=False,
    )
    async with connections:
        async with transaction(connections) as connection:
            await connection.execute(_ONE_AT_A_TIME)
            await connection.execute(schema.encode())
        yield connections


@asynccontextmanager
async def transaction(connections: Pool) -> AsyncIterator[Connection]:
    """One transaction, which an exception inside of it undoes. Raises Unreachable."""
    try:
        async with connections.connection() as connection:
            yield connection
    except _LOSSES as error:
        raise Unreachable("PostgreSQL does not answer", cause=type(error).__name__) from error


async def rows_of(connection: Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    found = await connection.execute(query.encode(), values)
    return await found.fetchall()


async def rewritten(connections: Pool, table: str) -> bool:
    """Whether the table has a new file, without anything of the rows that were deleted. VACUUM
    alone leaves their bytes where they are; what rewrites keeps everybody from the table, so of a
    large one only the room is given to later rows.
    """
    told: list[str] = []
    try:
        async with await _connected(connections) as connection:
            ((size_bytes,),) = await rows_of(connection, _SIZE, table)
            kind = "(FULL, VERBOSE) " if size_bytes <= _REWRITTEN_BYTES_MAX else ""
            connection.add_notice_handler(lambda said: told.append(said.message_detail or ""))
            await connection.execute(f"VACUUM {kind}{table}".encode())
    except _LOSSES:
        # Somebody reads it for too long, or it takes too long.
        return False
    # How many it had to take along, for a transaction that began before still sees them.
    return any(one.startswith("0 ") for one in told)


async def _connected(connections: Pool) -> Connection:
    """To the same database, with other limits: outside of any transaction, as VACUUM wants it."""
    options = f"-c statement_timeout={_REWRITE_MS_MAX} -c lock_timeout={_TURN_MS_MAX}"
    dsn = connections.conninfo
    assert isinstance(dsn, str), "`pool` was given a text"
    return await psycopg.AsyncConnection.connect(
        dsn,
        autocommit=True,
        connect_timeout=int(ANSWER_S_MAX),
        options=options,
    )
