"""Replicas of the cache on one Redis: one fill for all, and what happens while that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tests.unit.services.memory.cache.asking import cache, get, put, reason_of, refused
from tests.unit.services.memory.cache.backend import CALLERS, Backend

LOCAL = nouns.CACHE_TIER_LOCAL


@pytest.fixture
async def redis() -> AsyncIterator[DurableRedis]:
    async with durable_redis_server() as server:
        await evicting(server)
        yield server


async def evicting(server: DurableRedis) -> None:
    async with Redis(unix_socket_path=str(server.socket)) as client:
        await client.config_set("maxmemory", "64mb")
        await client.config_set("maxmemory-policy", "allkeys-lru")


def at(server: DurableRedis) -> cfg.CacheRedis:
    return cfg.CacheRedis(address=f"unix:{server.socket}")


async def listens(stub: rpc.CacheServiceAsyncStub, caplog: pytest.LogCaptureFixture) -> None:
    """Returns when it hears the other replicas: what it had in memory before, it drops then."""
    async with asyncio.timeout(5):
        while "cache.redis_reached" not in caplog.text:
            await get(stub, "other", lookup_only=True)


async def test_m053_a_stampede_over_replicas_makes_one_backend_call(
    tmp_path: Path, redis: DurableRedis
) -> None:
    """The lease is one for all who share the Redis."""
    backend = Backend()
    async with (
        cache(tmp_path / "a", redis=at(redis)) as one,
        cache(tmp_path / "b", redis=at(redis)) as other,
    ):
        answers = await backend.answers(*([one, other] * (CALLERS // 2)))
    assert answers == [b"answer"] * CALLERS
    assert backend.calls == 1


async def test_a_change_by_one_replica_shows_in_the_others(
    tmp_path: Path, redis: DurableRedis
) -> None:
    """Though they have the key in their memory."""
    async with (
        cache(tmp_path / "a", redis=at(redis)) as one,
        cache(tmp_path / "b", redis=at(redis)) as other,
    ):
        await put(one, value=b"old")
        assert (await get(other)).entry.value == b"old"
        await put(one, value=b"new")
        async with asyncio.timeout(5):
            while (await get(other)).entry.value != b"new":
                pass
        await one.DeleteEntry(pb.DeleteEntryRequest(key="k"))
        async with asyncio.timeout(5):
            while (await get(other, lookup_only=True)).HasField("entry"):
                pass


async def test_what_changes_without_news_shows_when_the_policy_says(
    tmp_path: Path, redis: DurableRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """News may be lost; until then an instance takes what it has for what there is."""
    caplog.set_level("INFO", "services.memory")
    clock, policy = FakeClock(), cfg.CachePolicy(namespaces="*")
    policy.local_ttl.FromMilliseconds(500)
    async with cache(tmp_path, clock, redis=at(redis), policies=[policy]) as stub:
        await listens(stub, caplog)
        await put(stub)
        async with Redis(unix_socket_path=str(redis.socket)) as client:
            await client.flushall()
        await clock.advance(0.499)
        assert (await get(stub)).tier == LOCAL
        await clock.advance(0.001)
        assert not (await get(stub, lookup_only=True)).HasField("entry")


async def test_without_redis_memory_answers_and_says_so(
    tmp_path: Path, redis: DurableRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has not fails as unavailable, which is not that there is none; so do writes, but
    where the policy lets the instance be alone.
    """
    caplog.set_level("INFO", "services.memory")
    alone = cfg.CachePolicy(namespaces="alone", local_only=True)
    async with cache(tmp_path, redis=at(redis), policies=[alone]) as stub:
        await listens(stub, caplog)
        await put(stub)
        await redis.kill()
        found = await get(stub)
        assert (found.entry.value, found.tier) == (b"v", LOCAL)
        assert await reason_of(get(stub, "other")) == "STORE_UNREACHABLE"
        assert await reason_of(put(stub)) == "STORE_UNREACHABLE"
        told = await stub.GetCacheUse(pb.GetCacheUseRequest())
        assert (told.backend, told.is_shared_reachable) == ("redis", False)
        lease = (await get(stub, namespace="alone")).lease.token
        assert (await put(stub, namespace="alone", lease=lease)).is_degraded
        answer = await get(stub, namespace="alone")
        assert answer.entry.value == b"v"
        await redis.start()
        await evicting(redis)
        async with asyncio.timeout(10):
            while await refused(put(stub, "back")) is not None:
                pass
