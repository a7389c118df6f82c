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
