"""What watchers of a value are told, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from services.control.registry.watched_values import LOOK_AGAIN_S, WatchedValues
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.protocol import Versioned
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.registry.hosts import failure
from tests.unit.services.control.registry.test_values import VALUE, put

KEY = "policy/main"


class Shelf:
    """One value that somebody else writes. Reads of it are counted, and fail on demand."""

    def __init__(self) -> None:
        self.found: Versioned | None = None
        self.reads_count = 0
        self.failure: Unreachable | Refused | None = None
        # None as where others write too.
        self.writes: int | None = None

    async def read(self, _key: str) -> Versioned | None:
        self.reads_count += 1
        if self.failure is not None:
            raise self.failure
        return self.found


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[WatchedValues, Shelf, FakeClock]]:
    clock, shelf = FakeClock(), Shelf()
    values = WatchedValues(shelf.read, clock, lambda: shelf.writes)
    async with Tasks() as tasks:
        tasks.spawn("values", values.run())
        yield values, shelf, clock


async def test_a_watcher_is_told_at_once_and_of_each_change(
    registry: rpc.RegistryServiceAsyncStub,
) -> None:
    """That there is nothing, what was written, and that it was removed."""
    call = registry.WatchValue(pb.WatchValueRequest(key=KEY))
    told = aiter(call)
    assert (await anext(told)).version == 0
    version = await put(registry)
    found = await anext(told)
    assert (found.value, found.version) == (VALUE, version)
    await registry.DeleteValue(pb.DeleteValueRequest(key=KEY))
    gone = await anext(told)
    assert (gone.HasField("value"), gone.version) == (False, 0)
    call.cancel()


async def test_a_write_elsewhere_is_seen_within_a_look() -> None:
    """Another control wrote it, so nobody here was told."""
    async with watched() as (values, shelf, clock):
        seen = values.watch(KEY)
        assert await anext(seen) is None
        shelf.found = Versioned(b"1", 1)
        found, _ = await asyncio.gather(anext(seen), clock.advance(LOOK_AGAIN_S))
        assert found == shelf.found
        await seen.aclose()


async def test_many_watchers_cost_one_look() -> None:
    """A hundred hosts that watch one policy are not a hundred readers."""
    async with watched() as (values, shelf, clock):
        seen = [values.watch(KEY) for _ in range(100)]
        for one in seen:
            await anext(one)
        shelf.reads_count = 0
        await clock.advance(LOOK_AGAIN_S)
        assert shelf.reads_count == 1
        for one in seen:
            await one.aclose()
        await clock.advance(LOOK_AGAIN_S)
        assert shelf.reads_count == 1


async def test_where_nobody_else_writes_nothing_is_read_until_somebody_did() -> None:
    """What a fleet of one control watches changes a few times a day."""
    async with watched() as (values, shelf, clock):
        shelf.writes = 1
        seen = values.watch(KEY)
        await anext(seen)
        await clock.advance(LOOK_AGAIN_S)
        shelf.reads_count = 0
        await clock.advance(10 * LOOK_AGAIN_S)
        assert shelf.reads_count == 0
        # Its caller gave up, so that nobody said that it was written.
        shelf.found, shelf.writes = Versioned(b"1", 1), 2
        found, _ = await asyncio.gather(anext(seen), clock.advance(LOOK_AGAIN_S))
        assert found == shelf.found
        await seen.aclose()


@pytest.mark.parametrize("failure", [Unreachable("away"), Refused("denied")])
async def test_a_backend_that_fails_ends_the_watch(failure: Unreachable | Refused) -> None:
    """Whoever watches knows from then on that what it knows may be old."""
    async with watched() as (values, shelf, clock):
        seen = values.watch(KEY)
        await anext(seen)
        shelf.failure = failure
        with pytest.raises(type(failure)):
            await asyncio.gather(anext(seen), clock.advance(LOOK_AGAIN_S))
        shelf.failure = None
        again = values.watch(KEY)
        assert await anext(again) is None
        await again.aclose()


async def test_a_key_that_no_backend_holds_is_refused(
    registry: rpc.RegistryServiceAsyncStub,
) -> None:
    """As it is for a reader."""
    refused = await failure(anext(aiter(registry.WatchValue(pb.WatchValueRequest(key="a//b")))))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NOT_STORABLE")
