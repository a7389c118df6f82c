"""State in a real Redis, held to the suite and to what a server adds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.redis import RedisServer
from tandemkit.reach.server import Patience
from tandemkit.storage.state.protocol import Change, StateStore
from tandemkit.storage.state.redis import RedisState
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tests.contract.state.following import FollowingSuite
from tests.contract.state.suite import Case, StateSuite


class _Server:
    def __init__(self, server: DurableRedis) -> None:
        self.server = server
        self._opened: list[RedisState] = []

    async def open(self, owner: str = "utility-files") -> StateStore:
        where = RedisServer(socket=self.server.socket, patience=Patience(0.5, 1.0, 2.0))
        self._opened.append(RedisState(where, owner))
        return self._opened[-1]

    async def reopen(self) -> StateStore:
        await self.close()
        await self.server.kill()
        await self.server.start()
        return await self.open()

    async def close(self) -> None:
        while self._opened:
            await self._opened.pop().aclose()


@pytest.fixture
async def redis() -> AsyncIterator[_Server]:
    async with durable_redis_server() as server:
        case = _Server(server)
        yield case
        await case.close()


class TestRedis(StateSuite, FollowingSuite):
    @pytest.fixture
    def case(self, redis: _Server) -> Case:
        return redis


async def test_owners_do_not_see_each_other(redis: _Server) -> None:
    """One server serves the whole fleet."""
    one, other = await redis.open("a"), await redis.open("b")
    await one.write([Change("key", b"one")])
    assert await other.get("key") is None
    await other.write([Change("key", b"other", 0)])
    assert [entry.stored.content for entry in await one.entries()] == [b"one"]


async def test_a_server_that_went_away_is_told_in_time(redis: _Server) -> None:
    """Nobody waits for a server that is not there, and work goes on when it is back."""
    store = await redis.open()
    await store.write([Change("key", b"one")])
    await redis.server.kill()
    with pytest.raises(Unreachable):
        await store.get("key")
    await redis.server.start()
    assert await store.get("key") is not None


async def test_a_server_that_denies_the_login_is_told_as_such() -> None:
    """That one needs somebody to act, and no patience helps."""
    async with durable_redis_server(password="secret") as server:
        store = RedisState(RedisServer(socket=server.socket), "a")
        with pytest.raises(Refused, match="denied the login"):
            await store.write([Change("key", b"one")])
        await store.aclose()
