"""Events in a real PostgreSQL, held to the suite and to what a server adds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import count

import psycopg
import pytest
import pytest_asyncio

from tandemkit.core.clock import SystemClock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.postgres import postgres_events
from tandemkit.storage.events.protocol import EventStore, NewEvent
from tandemkit.testing.parts_storage import PostgresServer, postgres_server
from tests.contract.events.case import KIND, Case, told
from tests.contract.events.suite import EventStoreSuite

_UNGUARDED = "ALTER TABLE tandem_events DISABLE TRIGGER USER;"
_EMPTY = "DROP TABLE IF EXISTS tandem_events, tandem_events_head, tandem_events_snapshots"


class _Database:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stack = AsyncExitStack()

    async def open(self) -> EventStore:
        return await self._stack.enter_async_context(postgres_events(self._dsn, SystemClock()))

    async def reopen(self) -> EventStore:
        await self._stack.aclose()
        return await self.open()

    async def spoil(self, statement: str) -> None:
        for table in ("events", "snapshots"):
            place = "tandem_events" if table == "events" else "tandem_events_snapshots"
            for word in ("UPDATE", "FROM"):
                statement = statement.replace(f"{word} {table} ", f"{word} {place} ")
        statement = statement.format(bytes="bytea")
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute((_UNGUARDED + statement).encode())

    async def close(self) -> None:
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with postgres_server() as server:
        yield server


@pytest.fixture
async def dsn(server: PostgresServer) -> str:
    async with await psycopg.AsyncConnection.connect(server.dsn) as connection:
        await connection.execute(_EMPTY)
    return server.dsn


class TestPostgres(EventStoreSuite):
    @pytest.fixture
    async def case(self, dsn: str) -> AsyncIterator[Case]:
        database = _Database(dsn)
        yield database
        await database.close()


async def test_sql_cannot_change_what_was_recorded(dsn: str) -> None:
    """The database itself refuses, whoever asks."""
    async with postgres_events(dsn, SystemClock()) as store:
        await store.append("hosts/a", told(1))
    for statement in ("UPDATE tandem_events SET version = 2", "TRUNCATE tandem_events"):
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                await connection.execute(statement.encode())


async def test_a_server_that_is_away_is_told_in_time() -> None:
    """Nobody waits for a database that is not there."""
    async with postgres_server() as server:
        events = postgres_events(server.dsn, SystemClock())
        store = await events.__aenter__()
    try:
        with pytest.raises(Unreachable):
            await store.append("hosts/a", told(1))
    finally:
        await events.__aexit__(None, None, None)


async def test_a_server_that_takes_no_writes_ends_no_store() -> None:
    """As a standby after a failover: it is told as such, and work goes on when it is over."""
    async with postgres_server() as server, postgres_events(server.dsn, SystemClock()) as store:
        await store.append("hosts/a", told(1))
        await _configure(server.dsn, "ALTER SYSTEM SET default_transaction_read_only = on")
        async with asyncio.timeout(20):
            with pytest.raises(Unreachable):
                await _until_refused(store)
        await _configure(server.dsn, "ALTER SYSTEM RESET default_transaction_read_only")
        async with asyncio.timeout(20):
            await _until_taken(store)


async def _configure(dsn: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("SET transaction_read_only = off")
        await connection.execute(statement.encode())
        await connection.execute("SELECT pg_reload_conf()")


async def _until_refused(store: EventStore) -> None:
    # Sessions hear of new settings a moment later.
    for number in count(2):
        await store.append("hosts/a", told(number))


async def _until_taken(store: EventStore) -> None:
    while True:
        with suppress(Unreachable):
            await store.append("hosts/b", [NewEvent("last", KIND, b"")])
            return
