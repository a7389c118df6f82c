"""The cache over gRPC: filled once, to the millisecond, and marked where it is not sure."""

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
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.core.clock import SystemClock
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tests.unit.services.memory.cache.asking import URGENT, cache, get, put, reason_of, refused

CALLERS = 200
LOCAL, SHARED = nouns.CACHE_TIER_LOCAL, nouns.CACHE_TIER_SHARED


class Backend:
    """What everybody caches: slow, and it counts who asks."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def answer(self) -> bytes:
        self.calls += 1
        self.asked.set()
        await self.may_answer.wait()
        return b"answer"

    async def answers(self, *stubs: rpc.CacheServiceAsyncStub) -> list[bytes]:
        """Of a caller of each, all on their way before the first is answered."""

        async def open_up() -> None:
            # Behind all of them: the loop takes turns.
            await self.asked.wait()
            await use(stubs[0])
            self.may_answer.set()

        *found, _ = await asyncio.gather(*(self.through(one) for one in stubs), open_up())
        return [one for one in found if one is not None]

    async def through(self, stub: rpc.CacheServiceAsyncStub, key: str = "k") -> bytes:
        """As every caller does."""
        found = await get(stub, key)
        if found.HasField("lease"):
            value = await self.answer()
            await put(stub, key, value, lease=found.lease.token)
            return value
        return found.entry.value


async def use(stub: rpc.CacheServiceAsyncStub) -> nouns.CacheUse:
    request = pb.GetCacheUseRequest(namespace="default")
    (told,) = (await stub.GetCacheUse(request, metadata=URGENT)).uses
    return told


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


async def test_m053_a_stampede_makes_one_backend_call(tmp_path: Path) -> None:
    """200 callers miss one key at the same time: one is asked to fill it, and all get its value;
    the hit rate is what is told of them.
    """
    backend = Backend()
    async with cache(tmp_path) as stub:
        answers = await backend.answers(*([stub] * CALLERS))
        told = await use(stub)
    assert answers == [b"answer"] * CALLERS
    assert backend.calls == 1
    assert (told.misses, told.local_hits + told.shared_hits) == (1, CALLERS - 1)
    assert told.hit_ratio == (CALLERS - 1) / CALLERS
    assert told.waits == CALLERS - 1


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


async def test_when_a_filler_dies_the_next_one_gets_the_lease(tmp_path: Path) -> None:
    """After its term; when it gives it back, at once."""
    async with cache(tmp_path) as stub:
        first = await get(stub, term_ms=150)
        assert first.lease.token
        # It never puts anything.
        second = await get(stub)
        assert second.lease.token not in {"", first.lease.token}
        waiting = stub.GetEntry(pb.GetEntryRequest(key="k"))
        await get(stub, wait_ms=20)
        release = pb.ReleaseLeaseRequest(key="k", lease=second.lease.token)
        await stub.ReleaseLease(release)
        third = await waiting
        assert third.lease.token not in {"", second.lease.token}
        assert await reason_of(put(stub, lease=first.lease.token)) == "LEASE_LOST"
        await put(stub, lease=third.lease.token)
        assert (await get(stub)).entry.value == b"v"


async def test_a_caller_who_hangs_up_is_nobodys_filler(tmp_path: Path) -> None:
    """Who waited for its turn and left does not keep the next one waiting."""
    async with cache(tmp_path) as stub:
        first = await get(stub)
        gone = [stub.GetEntry(pb.GetEntryRequest(key="k")) for _ in range(5)]
        stays = stub.GetEntry(pb.GetEntryRequest(key="k"))
        await get(stub, wait_ms=20)
        for call in gone:
            call.cancel()
        await stub.ReleaseLease(pb.ReleaseLeaseRequest(key="k", lease=first.lease.token))
        assert (await stays).lease.token


async def test_a_wait_is_bounded(tmp_path: Path) -> None:
    """By what it says, and by the deadline of its call, before which it is answered."""
    async with cache(tmp_path) as stub:
        await get(stub)
        clock = SystemClock()
        for asked in (
            get(stub, wait_ms=0),
            get(stub, wait_ms=60),
            stub.GetEntry(pb.GetEntryRequest(key="k"), timeout=0.3),
            get(stub, lookup_only=True),
        ):
            began_s = clock.monotonic_s()
            told = await asked
            assert not told.HasField("entry")
            assert not told.HasField("lease")
            assert clock.monotonic_s() - began_s < 5
        assert (await use(stub)).leases == 1


async def test_entries_live_to_the_millisecond(tmp_path: Path) -> None:
    """By their writer's word, or by the policy's; what says that there is nothing has its own."""
    clock = FakeClock()
    policy = cfg.CachePolicy(namespaces="default")
    policy.ttl.FromMilliseconds(500)
    policy.negative_ttl.FromMilliseconds(20)
    async with cache(tmp_path, clock, policies=[policy]) as stub:
        await put(stub, "said", ttl_ms=100)
        await put(stub, "policy")
        await put(stub, "none", b"", is_negative=True)
        assert (await get(stub, "none")).entry.is_negative
        for passed_s, left in ((0.019, 3), (0.001, 2), (0.079, 2), (0.001, 1), (0.4, 0)):
            await clock.advance(passed_s)
            found = [await get(stub, one, lookup_only=True) for one in ("said", "policy", "none")]
            assert sum(one.HasField("entry") for one in found) == left
        assert (await use(stub)).negative_hits == 2


async def test_what_is_stale_is_served_while_one_caller_fills_it_anew(tmp_path: Path) -> None:
    """Nobody waits; what was put then is what all get."""
    clock = FakeClock()
    policy = cfg.CachePolicy(namespaces="def*")
    policy.stale_for.FromSeconds(10)
    async with cache(tmp_path, clock, policies=[policy]) as stub:
        await put(stub, value=b"old", ttl_ms=100)
        await clock.advance(0.1)
        asked = await asyncio.gather(*(get(stub) for _ in range(20)))
        assert {(one.entry.value, one.is_stale) for one in asked} == {(b"old", True)}
        (token,) = [one.lease.token for one in asked if one.HasField("lease")]
        await put(stub, value=b"new", lease=token)
        assert (await get(stub)).entry.value == b"new"
        assert not (await get(stub)).is_stale


async def test_a_restart_keeps_what_the_file_has(tmp_path: Path) -> None:
    """It comes from the shared tier first, and from memory then."""
    async with cache(tmp_path) as stub:
        await put(stub, subjects=["Ann"])
    async with cache(tmp_path) as stub:
        first, second = await get(stub), await get(stub)
    assert (first.tier, second.tier) == (SHARED, LOCAL)
    assert first.entry == second.entry


async def test_what_is_about_somebody_is_exported_and_deleted(tmp_path: Path) -> None:
    """From memory and from the file, and with it all leases of the namespace."""
    async with cache(tmp_path) as stub:
        for number in range(150):
            await put(stub, f"k{number}", bytes(10_000), subjects=["Ann"])
        await put(stub, "other")
        lease = (await get(stub, "filled")).lease.token
        asked = stub.ExportSubject(subject.ExportSubjectRequest(subject="ann"))
        pages = [page async for page in asked]
        records = [one for page in pages for one in page.records]
        entries = [nouns.CacheEntry.FromString(one.message) for one in records]
        assert {one.key for one in entries} == {f"k{number}" for number in range(150)}
        assert max(page.ByteSize() for page in pages) < 1_100_000
        told = await stub.DeleteSubject(subject.DeleteSubjectRequest(subject="ann"))
        assert told.deleted == 150
        assert not (await get(stub, "k0", lookup_only=True)).HasField("entry")
        assert (await get(stub, "other")).entry.value == b"v"
        assert await reason_of(put(stub, "filled", lease=lease)) == "LEASE_LOST"


async def test_bad_requests_are_refused_with_their_reason(tmp_path: Path) -> None:
    """What is too large, what has another version, and what is no key."""
    async with cache(tmp_path, value_bytes_max=10) as stub:
        assert await reason_of(put(stub, value=bytes(11))) == "CACHE_ENTRY_TOO_LARGE"
        await put(stub)
        assert await reason_of(put(stub, expected_version=0)) == "CACHE_VERSION_CONFLICT"
        for key in ("", "a\nb", "x" * 513):
            assert await reason_of(get(stub, key)) == "INVALID_REQUEST"


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
