"""The cache over gRPC: filled once, to the millisecond, and marked where it is not sure."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.core.clock import SystemClock
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.cache.asking import cache, get, put, reason_of
from tests.unit.services.memory.cache.backend import CALLERS, Backend, use

LOCAL, SHARED = nouns.CACHE_TIER_LOCAL, nouns.CACHE_TIER_SHARED


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
    assert told.waits > 0


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
