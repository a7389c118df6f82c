from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.registry.hosts import (
    CLOSE,
    RENEW,
    Held,
    change,
    failure,
    held,
    host,
    opening,
    watching,
)

CODE = grpc.StatusCode


async def told(events: AsyncIterator[pb.WatchHostsResponse]) -> nouns.Host | str | list[str]:
    """The next event: the names of a snapshot, the host of a change, the name of a removal."""
    event = await anext(events)
    if event.HasField("snapshot"):
        return sorted(one.name for one in event.snapshot.hosts)
    return event.changed.host if event.HasField("changed") else event.removed.host


async def test_a_host_is_seen_from_opening_to_closing(
    registry: rpc.RegistryServiceAsyncStub,
) -> None:
    """Watchers hear of it as it opens, changes and drains, with rising revisions."""
    async with watching(registry) as events:
        first = await anext(events)
        assert first.HasField("snapshot")
        one = Held(registry.HoldLease())
        confirmed = await one.step(opening(host(), ttl_s=5))
        assert confirmed.time_left.seconds == 5
        assert await told(events) == host()
        await one.step(RENEW)
        await one.step(change(host(serving=False)))
        event = await anext(events)
        assert event.changed.host == host(serving=False)
        assert event.revision > first.revision
        assert not (await one.step(CLOSE)).HasField("time_left")
        assert await one.end() is grpc.aio.EOF
        assert await told(events) == "hosts/a"


async def test_draining_is_told_from_silence(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """Watchers need not wait to see whether a host that drained comes back."""
    drains, falls_silent = await held(registry, host()), await held(registry, host("hosts/b"))
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a", "hosts/b"]
        await drains.step(CLOSE)
        left = await anext(events)
        falls_silent.cut()
        async with watching(registry) as others:
            later = (await anext(others)).snapshot
        await clock.advance(3)
        lapsed = await anext(events)
    assert (left.removed.host, left.removed.drained) == ("hosts/a", True)
    assert ([one.name for one in later.hosts], list(later.drained)) == (["hosts/b"], ["hosts/a"])
    assert (lapsed.removed.host, lapsed.removed.drained) == ("hosts/b", False)


async def test_a_host_that_drained_and_came_back_can_fall_silent(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """What was noted then says nothing about its new lease, however long the old one was."""
    first = await held(registry, host(), ttl_s=60)
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]
        await first.step(CLOSE)
        assert await told(events) == "hosts/a"
        (await held(registry, host())).cut()
        assert await told(events) == host()
        async with watching(registry) as others:
            later = (await anext(others)).snapshot
        await clock.advance(3)
        lapsed = await anext(events)
    assert list(later.drained) == []
    assert (lapsed.removed.host, lapsed.removed.drained) == ("hosts/a", False)


async def test_a_lease_that_is_not_renewed_runs_out(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """Its host is gone for watchers, and its own next step fails; renewals put that off."""
    one = await held(registry, host())
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]
        for _ in range(3):
            await clock.advance(2)
            await one.step(RENEW)
        await clock.advance(3)
        assert await told(events) == "hosts/a"
    lost = await failure(one.step(RENEW))
    assert (lost.code, lost.reason) == (CODE.FAILED_PRECONDITION, "LEASE_LOST")
    assert lost.domain == "tandem.control.v1"


async def test_a_broken_stream_leaves_the_lease_to_run_out(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """A host that is cut off stays for its time to live, and goes then."""
    one = await held(registry, host())
    one.cut()
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]
        await clock.advance(2.9)
        await held(registry, host("hosts/b"))
        assert await told(events) == host("hosts/b")
        await clock.advance(0.1)
        assert await told(events) == "hosts/a"


async def test_a_host_that_comes_back_in_time_never_goes_for_watchers(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """It opens again under the same name: no removal, not even when the old lease runs out."""
    one = await held(registry, host())
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]
        one.cut()
        await clock.advance(2)
        again = await held(registry, host())
        assert await told(events) == host()
        for _ in range(2):
            await clock.advance(1)
            await again.step(RENEW)
        await again.step(change(host(serving=False)))
        assert await told(events) == host(serving=False)


async def test_of_two_streams_of_one_host_the_newer_wins(
    registry: rpc.RegistryServiceAsyncStub,
) -> None:
    """The older fails at once, though it says nothing; watchers see no gap."""
    older = await held(registry, host())
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]
        newer = await held(registry, host(serving=False))
        assert await told(events) == host(serving=False)
        lost = await failure(older.answer())
        assert (lost.code, lost.reason) == (CODE.FAILED_PRECONDITION, "LEASE_LOST")
        assert lost.metadata == {"host": "hosts/a"}
        await newer.step(change(host()))
        assert await told(events) == host()


@pytest.mark.parametrize("step", [RENEW, CLOSE, change(host())])
async def test_a_lease_begins_with_its_opening(
    registry: rpc.RegistryServiceAsyncStub, step: pb.HoldLeaseRequest
) -> None:
    """Any other first step is refused."""
    refused = await failure(Held(registry.HoldLease()).step(step))
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "STREAM_OUT_OF_ORDER")
    assert list(refused.violations) == ["step"]


@pytest.mark.parametrize(
    ("step", "field"),
    [(opening(host()), "open"), (change(host("hosts/b")), "change.host.name")],
)
async def test_a_stream_is_of_one_host(
    registry: rpc.RegistryServiceAsyncStub, step: pb.HoldLeaseRequest, field: str
) -> None:
    """A second opening and a change of name are refused; the lease is left to run out."""
    one = await held(registry, host())
    refused = await failure(one.step(step))
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "STREAM_OUT_OF_ORDER")
    assert list(refused.violations) == [field]
    async with watching(registry) as events:
        assert await told(events) == ["hosts/a"]


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (opening(host("a")), "open.host.name"),
        (opening(host(), ttl_s=61), "open.time_to_live"),
        (pb.HoldLeaseRequest(), "step"),
    ],
)
async def test_a_step_keeps_the_rules_of_its_fields(
    registry: rpc.RegistryServiceAsyncStub, step: pb.HoldLeaseRequest, field: str
) -> None:
    """What breaks the contract is named."""
    refused = await failure(Held(registry.HoldLease()).step(step))
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert list(refused.violations) == [field]


async def test_a_watcher_goes_on_where_it_stopped(registry: rpc.RegistryServiceAsyncStub) -> None:
    """With its last revision it gets what it missed, without a snapshot."""
    await held(registry, host())
    async with watching(registry) as events:
        seen = (await anext(events)).revision
    await held(registry, host("hosts/b"))
    async with watching(registry, seen) as events:
        assert await told(events) == host("hosts/b")


async def test_a_restart_keeps_hosts_for_their_time_to_live(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Who comes back in time was never gone; who does not, goes."""
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        before = rpc.RegistryServiceStub(channel)
        await held(before, host())
        await held(before, host("hosts/b"))
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        after = rpc.RegistryServiceStub(channel)
        async with watching(after) as events:
            assert await told(events) == ["hosts/a", "hosts/b"]
            one = await held(after, host())
            assert await told(events) == host()
            await clock.advance(2)
            await one.step(RENEW)
            await clock.advance(1)
            assert await told(events) == "hosts/b"
