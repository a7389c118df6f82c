"""The tier in a real Redis, held to the suite and to what a server adds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.memory.cache.keeping import Place, epoch_ms
from services.memory.cache.redis_tier import RedisTier, redis_tier
from services.memory.cache.tier import Which
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.redis import RedisServer
from tandemkit.reach.server import Patience
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server, redis_server
from tests.contract.cache.leases import LeaseSuite
from tests.contract.cache.suite import Case, TierSuite, value_of, wanted, write


async def evicting(socket: Path) -> None:
    """As the Redis of a cache is to be set."""
    async with Redis(unix_socket_path=str(socket)) as client:
        await client.config_set("maxmemory", "64mb")
        await client.config_set("maxmemory-policy", "allkeys-lru")


class _Server:
    def __init__(self, socket: Path) -> None:
        self.clock, self.socket = FakeClock(), socket
        self.heard: list[tuple[str, str]] = []
        self._news = asyncio.Event()
        self._opened = AsyncExitStack()

    async def open(self) -> RedisTier:
        def heard(namespace: str, key: str) -> None:
            self.heard.append((namespace, key))
            self._news.set()

        server = RedisServer(socket=self.socket, patience=Patience(1.0, 1.5, 2.0))
        tier = redis_tier(server, self.clock, heard)
        return await self._opened.enter_async_context(tier)

    async def reopen(self) -> RedisTier:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        await self._opened.aclose()

    async def told(self, *news: tuple[str, str]) -> None:
        """Returns when a replica has heard it."""
        async with asyncio.timeout(5):
            while not set(news) <= set(self.heard):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def redis() -> AsyncIterator[_Server]:
    async with redis_server() as server:
        await evicting(server.socket)
        case = _Server(server.socket)
        yield case
        await case.close()


class TestRedis(TierSuite, LeaseSuite):
    @pytest.fixture
    def case(self, redis: _Server) -> Case:
        return redis


async def test_replicas_hear_of_each_others_changes(redis: _Server) -> None:
    """Of each key, and of a namespace whose entries were deleted by their beginning; of their own
    they know.
    """
    one = await redis.open()
    await redis.told(("", ""))
    other = await redis.open()
    await one.put(write(redis.clock, "a"))
    await other.delete(Place("default", "b"), None, epoch_ms(redis.clock))
    await other.sweep(Which("many", prefix="c"), epoch_ms(redis.clock))
    await redis.told(("default", "a"), ("default", "b"), ("many", ""))
    assert redis.heard.count(("default", "a")) == 1


async def test_a_server_that_keeps_everything_is_refused() -> None:
    """Locks and leases live on such a one, which must never be told to forget."""
    async with redis_server() as server:
        case = _Server(server.socket)
        tier = await case.open()
        with pytest.raises(Refused, match="of its own that evicts"):
            await tier.put(write(case.clock))
        await evicting(server.socket)
        await case.clock.advance(1)
        await tier.put(write(case.clock))
        await case.close()


def is_reachable(tier: RedisTier) -> bool:
    return tier.is_reachable


@pytest.fixture
async def mortal() -> AsyncIterator[tuple[_Server, DurableRedis]]:
    async with durable_redis_server() as server:
        await evicting(server.socket)
        case = _Server(server.socket)
        yield case, server
        await case.close()


async def test_a_server_that_went_away_costs_one_look_and_is_used_when_it_is_back(
    mortal: tuple[_Server, DurableRedis],
) -> None:
    """Everything may have changed meanwhile, so what is in memory is forgotten."""
    case, server = mortal
    tier = await case.open()
    await tier.put(write(case.clock))
    await case.told(("", ""))
    await server.kill()
    with pytest.raises(Unreachable):
        await tier.take(wanted(case.clock))
    with pytest.raises(Unreachable, match="a moment ago"):
        await tier.take(wanted(case.clock))
    assert not is_reachable(tier)
    await server.start()
    await evicting(server.socket)
    case.heard.clear()
    await case.clock.advance(3)
    await case.told(("", ""))
    assert is_reachable(tier)
    assert value_of(await tier.take(wanted(case.clock))) is None
