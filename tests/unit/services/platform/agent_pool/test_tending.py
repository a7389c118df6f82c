"""What is allocated is served, whoever dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandem.platform.v1 import allocation_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.agent_pool.fleet import (
    AWAY_MAX_S,
    FakeFleet,
    running,
    wanted,
)

SUSPENDED = nouns.ALLOCATION_STATE_SUSPENDED


@pytest.fixture
def fleet() -> FakeFleet:
    fleet = FakeFleet(FakeClock())
    fleet.start(1, 2)
    return fleet


async def test_a_host_that_comes_back_serves_again_what_it_served(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """At once, and there: nobody moves because of a restart."""
    async with running(fleet, tmp_path) as pool:
        first = await pool.allocate("a")
        number = fleet.where(first.name)[0]
        fleet.kill(number)
        await fleet.clock.advance(AWAY_MAX_S / 2)
        assert fleet.where(first.name) == []
        fleet.start(number)
        await pool.until(lambda: fleet.where(first.name) == [number])


async def test_what_a_lost_host_served_moves_to_another_slot(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """After a while, as far as slots are free; the rest waits for its host, and says so."""
    async with running(fleet, tmp_path, slots=2) as pool:
        for name in "abc":
            await pool.allocate(name)
        gone = next(number for number, served in fleet.served.items() if len(served) == 2)
        moving = set(fleet.served[gone])
        fleet.kill(gone)
        (left,) = fleet.hosts_up
        await pool.settle()
        await fleet.clock.advance(AWAY_MAX_S)
        await pool.until(lambda: len(fleet.served[left]) == 2)
        (waiting,) = moving - set(fleet.served[left])
        await pool.until(lambda: "all slots" in pool.books.by_name[waiting].cause)
        fleet.start(gone)
        await fleet.clock.advance(1)
        await pool.until(lambda: fleet.where(waiting) == [gone])


async def test_an_instance_that_fails_is_added_again(fleet: FakeFleet, tmp_path: Path) -> None:
    """More and more rarely where that does not help."""
    async with running(fleet, tmp_path) as pool:
        await pool.allocate("a")
        fleet.fail("tale-tell-a")
        await pool.until(lambda: fleet.where("tale-tell-a"))
        fleet.unbuildable = "OSError: no"
        fleet.fail("tale-tell-a")
        await pool.until(lambda: "OSError: no" in pool.books.by_name["tale-tell-a"].cause)
        fleet.unbuildable = ""
        await fleet.clock.advance(1)
        await pool.until(lambda: fleet.where("tale-tell-a"))


async def test_another_life_of_the_pool_knows_all_and_finishes_what_was_begun(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """What is served and not allocated is ended, what is allocated and not served is added."""
    async with running(fleet, tmp_path) as pool:
        await pool.allocate("a")
        await pool.allocate("b")
        await pool.allocating.suspend("tale-tell-b")
        fleet.hold = asyncio.Event()
        pool.asks("c")
        await pool.until(lambda: "tale-tell-c" in pool.books.by_name)
    fleet.hold = None
    await fleet.add("127.0.0.1:7001", _planned("stray"))
    async with running(fleet, tmp_path) as pool:
        await pool.until(lambda: fleet.where("tale-tell-c"))
        await pool.until(lambda: not fleet.where("tale-tell-stray"))
        assert fleet.where("tale-tell-a")
        assert pool.books.by_name["tale-tell-b"].state == SUSPENDED


async def test_a_lease_that_is_not_renewed_ends(fleet: FakeFleet, tmp_path: Path) -> None:
    """To the second, and not before; another allocation begins it anew."""
    async with running(fleet, tmp_path) as pool:
        await pool.allocate("a", lease_s=10)
        fleet.start(3)
        await fleet.clock.advance(9)
        await pool.allocate("a", lease_s=10)
        await fleet.clock.advance(9)
        await pool.settle()
        assert fleet.where("tale-tell-a")
        await fleet.clock.advance(2)
        await pool.until(lambda: not fleet.where("tale-tell-a") and not pool.books.by_name)


async def test_a_host_that_does_not_answer_is_cleared_when_it_does(
    fleet: FakeFleet, tmp_path: Path
) -> None:
    """A suspension holds although nobody could be told of it."""
    async with running(fleet, tmp_path) as pool:
        await pool.allocate("a")
        (number,) = fleet.where("tale-tell-a")
        fleet.silent.add(number)
        await pool.allocating.suspend("tale-tell-a")
        assert fleet.where("tale-tell-a")
        fleet.silent.clear()
        fleet.start(3)
        await pool.until(lambda: not fleet.where("tale-tell-a"))


def _planned(suffix: str) -> PlannedAgent:
    one = wanted(suffix)
    return PlannedAgent(name=one.name, service=one.service)
