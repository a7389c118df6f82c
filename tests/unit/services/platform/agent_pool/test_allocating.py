"""Slots: who has one, who loses one, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from tandem.platform.v1 import allocation_pb2 as nouns
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.agent_pool.fleet import (
    IDLE_MIN_S,
    FakeFleet,
    running,
    wanted,
)

ACTIVE, SUSPENDED = nouns.ALLOCATION_STATE_ACTIVE, nouns.ALLOCATION_STATE_SUSPENDED


@pytest.fixture
def fleet() -> FakeFleet:
    fleet = FakeFleet(FakeClock())
    fleet.start(1, 2)
    return fleet


async def test_an_instance_is_given_a_slot_of_the_emptiest_host(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """And the answer says where it is; the same again changes nothing."""
    async with running(fleet, tmp_path) as pool:
        first = await pool.allocate("a")
        second = await pool.allocate("b")
        assert (first.state, second.state) == (ACTIVE, ACTIVE)
        assert {first.host, second.host} == {fleet.name(1), fleet.name(2)}
        again = await pool.allocating.allocate(wanted("a"))
        assert again.was_so_already
        assert fleet.deeds == ["+tale-tell-a", "+tale-tell-b"]


async def test_the_one_that_was_called_longest_ago_gives_its_slot_up(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """It is suspended, and goes on when it is allocated again, in the slot of the next."""
    async with running(fleet, tmp_path) as pool:
        for name in "abcd":
            await pool.allocate(name)
            await fleet.clock.advance(IDLE_MIN_S)
        fleet.call("tale-tell-a")
        await fleet.clock.advance(IDLE_MIN_S)
        await pool.allocate("e")
        assert pool.books.by_name["tale-tell-b"].state == SUSPENDED
        assert fleet.where("tale-tell-b") == []
        given = await pool.allocating.allocate(wanted("b"))
        assert given.resumed
        assert given.allocation.suspensions == 1
        assert pool.books.by_name["tale-tell-c"].state == SUSPENDED


async def test_nobody_loses_a_slot_who_is_busy_pinned_or_was_used_just_now(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """The caller hears when it may ask again; where that is not known, in a second."""
    async with running(fleet, tmp_path, slots=1) as pool:
        await pool.allocate("busy")
        await pool.allocate("pinned", pinned=True)
        fleet.call("tale-tell-busy", in_progress=1)
        await fleet.clock.advance(60)
        refused = await exhausted(pool.allocate("third"))
        assert refused.retry_after_s == 1.0
        assert refused.metadata == {"pool": "warm", "slots": "2"}
        assert "tale-tell-third" not in pool.books.by_name
        fleet.call("tale-tell-busy")
        await fleet.clock.advance(IDLE_MIN_S / 4)
        refused = await exhausted(pool.allocate("third"))
        assert refused.retry_after_s == pytest.approx(IDLE_MIN_S * 3 / 4)
        await fleet.clock.advance(IDLE_MIN_S)
        assert (await pool.allocate("third")).state == ACTIVE


async def test_two_at_once_are_not_given_the_same_slot(fleet: FakeFleet, tmp_path: Path) -> None:
    """What is given is written down before a host hears of it."""
    async with running(fleet, tmp_path, slots=1) as pool:
        fleet.hold = asyncio.Event()
        three = [pool.asks(one) for one in "abc"]
        await pool.until(lambda: pool.refusals)
        fleet.hold.set()
        await asyncio.gather(*three)
        (refused,) = pool.refusals
        assert isinstance(refused, TransientError)
        assert refused.reason == errors.ERROR_REASON_POOL_EXHAUSTED
        assert sorted(len(one) for one in fleet.served.values()) == [1, 1]


async def test_who_stops_waiting_has_its_instance_all_the_same(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """The next to ask for the name finds it."""
    async with running(fleet, tmp_path) as pool:
        fleet.hold = asyncio.Event()
        asking = pool.asks("a")
        await pool.until(lambda: "tale-tell-a" in pool.books.by_name)
        asking.cancel()
        fleet.hold.set()
        await pool.until(lambda: fleet.where("tale-tell-a"))
        assert (await pool.allocating.allocate(wanted("a"))).was_so_already


async def test_what_was_released_or_suspended_has_no_slot(fleet: FakeFleet, tmp_path: Path) -> None:
    """Both are safe to repeat; who was released is not known any more."""
    async with running(fleet, tmp_path) as pool:
        await pool.allocate("a")
        await pool.allocate("b")
        assert (await pool.allocating.suspend("tale-tell-a")).state == SUSPENDED
        assert (await pool.allocating.suspend("tale-tell-a")).suspensions == 1
        assert not await pool.allocating.release("tale-tell-b")
        assert await pool.allocating.release("tale-tell-b")
        assert set(pool.books.by_name) == {"tale-tell-a"}
        assert fleet.served == {1: {}, 2: {}}
        with pytest.raises(CallerError) as refused:
            await pool.allocating.suspend("tale-tell-b")
        assert refused.value.reason == errors.ERROR_REASON_ALLOCATION_UNKNOWN


async def test_what_cannot_be_built_is_not_allocated(fleet: FakeFleet, tmp_path: Path) -> None:
    """The caller hears why; a suspended one stays suspended."""
    async with running(fleet, tmp_path) as pool:
        fleet.unbuildable = "OSError: the model is gone"
        with pytest.raises(TransientError) as refused:
            await pool.allocate("a")
        assert refused.value.reason == errors.ERROR_REASON_ALLOCATION_UNBUILT
        assert refused.value.metadata["cause"] == fleet.unbuildable
        assert not pool.books.by_name
        fleet.unbuildable, fleet.programs = "", set()
        with pytest.raises(CallerError) as unknown:
            await pool.allocate("a")
        assert unknown.value.reason == errors.ERROR_REASON_AGENT_TYPE_UNKNOWN


async def test_a_name_belongs_to_one_agent_and_there_are_not_too_many(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """Both limits are told with their reasons."""
    async with running(fleet, tmp_path, most=1) as pool:
        await pool.allocate("a")
        other = wanted("a")
        other.service = "tandem.tale.v1.OtherService"
        with pytest.raises(CallerError) as differs:
            await pool.allocating.allocate(other)
        assert differs.value.reason == errors.ERROR_REASON_ALLOCATION_DIFFERS
        with pytest.raises(TransientError) as full:
            await pool.allocate("b")
        assert full.value.reason == errors.ERROR_REASON_ALLOCATIONS_FULL


async def test_without_hosts_the_pool_is_away(tmp_path: Path) -> None:
    """That is no lack of slots: hosts may come."""
    fleet = FakeFleet(FakeClock())
    async with running(fleet, tmp_path) as pool:
        with pytest.raises(TransientError) as refused:
            await pool.allocate("a")
        assert refused.value.reason == errors.ERROR_REASON_POOL_AWAY
        fleet.start(1)
        await pool.settle()
        assert (await pool.allocate("a")).state == ACTIVE


async def exhausted(work: Awaitable[object]) -> TransientError:
    with pytest.raises(TransientError) as refused:
        await work
    assert refused.value.reason == errors.ERROR_REASON_POOL_EXHAUSTED
    return refused.value
