"""State in a real PostgreSQL, held to the suite and to what several owners add."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest
import pytest_asyncio

from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.postgres import postgres_state
from tandemkit.storage.state.protocol import Change, StateStore
from tandemkit.testing.parts_storage import PostgresServer, postgres_server
from tests.contract.state.following import FollowingSuite
from tests.contract.state.suite import Case, StateSuite


class _Database:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stack = AsyncExitStack()

    async def open(self) -> StateStore:
        return await self._stack.enter_async_context(postgres_state(self._dsn, "utility-files"))

    async def reopen(self) -> StateStore:
        await self._stack.aclose()
        return await self.open()

    async def close(self) -> None:
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with postgres_server() as server:
        yield server


@pytest.fixture
async def dsn(server: PostgresServer) -> str:
    async with await psycopg.AsyncConnection.connect(server.dsn) as connection:
        for table in ("tandem_state", "tandem_state_gone", "tandem_state_forgotten"):
            await connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
    return server.dsn


class TestPostgres(StateSuite, FollowingSuite):
    @pytest.fixture
    async def case(self, dsn: str) -> AsyncIterator[Case]:
        database = _Database(dsn)
        yield database
        await database.close()


async def test_owners_do_not_see_each_other(dsn: str) -> None:
    """One database serves the whole fleet."""
    async with postgres_state(dsn, "a") as one, postgres_state(dsn, "b") as other:
        await one.write([Change("key", b"one")])
        assert await other.get("key") is None
        await other.write([Change("key", b"other", 0)])
        assert [entry.stored.content for entry in await one.entries()] == [b"one"]


async def test_a_server_that_went_away_is_told_in_time() -> None:
    """Nobody waits for a database that is not there."""
    async with AsyncExitStack() as stack:
        async with postgres_server() as server:
            store = await stack.enter_async_context(postgres_state(server.dsn, "a"))
            await store.write([Change("key", b"one")])
        with pytest.raises(Unreachable):
            await store.get("key")
