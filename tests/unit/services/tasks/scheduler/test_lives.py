"""Several lives of a scheduler on one store, at once and after each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.tasks.scheduler.servicer import Scheduler
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import schedule_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2 as service
from tandemkit.core.errors import Failure
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.errands import Errands
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.tasks.scheduler.lives import Callee, Counted, living
from tests.unit.services.tasks.scheduler.targets import plan


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counted]:
    async with sqlite_state(tmp_path / "state.sqlite") as found:
        yield Counted(found)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_m012_two_replicas_fire_each_time_once(store: Counted, clock: FakeClock) -> None:
    """Both wake at the same moment, and the record's version decides."""
    first, second = Callee(), Callee()
    async with living(store, first, clock) as one, living(store, second, clock) as two:
        for number in range(100):
            await one.keep(f"tick-{number}", every_s=60)
        two.agenda.look_again()
        for round_number in range(1, 4):
            await clock.advance(60)
            for number in range(100):
                await one.ended(f"tick-{number}", round_number)
    came = Counter(first.came + second.came)
    assert len(came) == 300
    assert set(came.values()) == {1}
    assert first.came
    assert second.came


async def test_m012_what_a_life_began_is_taken_up_by_the_next(
    store: Counted, clock: FakeClock
) -> None:
    """Behind the end of its hold and with the same key; a call that may be made once is not."""
    callee = Callee(stuck=True)
    async with living(store, callee, clock) as life:
        await life.keep("again", every_s=3600)
        await life.keep("once", every_s=3600, at_most_once=True)
        await clock.advance(3600)

        async def began() -> int:
            return len(callee.came)

        await eventually(began, lambda count: count == 2)
    callee.stuck = False
    async with living(store, callee, clock) as life:
        await clock.advance(9)
        assert len(callee.came) == 2
        await clock.advance(2)
        (again,) = await life.ended("again", 1)
        (once,) = await life.ended("once", 1)
    assert (again.outcome, again.attempts) == (pb.FIRING_OUTCOME_DONE, 2)
    assert once.outcome == pb.FIRING_OUTCOME_UNKNOWN
    assert Counter(callee.came) == {again.key: 2, once.key: 1}


async def test_nothing_happens_while_nothing_is_due(store: Counted, clock: FakeClock) -> None:
    """A day of waiting asks the store for nothing."""
    callee = Callee()
    async with living(store, callee, clock) as life:
        await life.keep("yearly", cron="0 0 1 1 *")
        await clock.advance(1)
        before = store.asked
        await clock.advance(24 * 3600)
        assert store.asked == before


async def test_more_schedules_than_a_heap_holds_all_come_due(
    store: Counted, clock: FakeClock
) -> None:
    """Those behind it are read from the index when their time comes near."""
    callee = Callee()
    async with living(store, callee, clock, nearest_max=5) as life:
        for number in range(60):
            at = clock.now() + timedelta(seconds=60 + (number * 7) % 60)
            await life.keep(f"at-{number}", at=at)
        for _ in range(120):
            await clock.advance(1)
        for number in range(60):
            await life.ended(f"at-{number}", 1)
    assert len(callee.came) == len(set(callee.came)) == 60


async def test_a_store_that_was_away_costs_no_firing(store: Counted, clock: FakeClock) -> None:
    """It is asked again, a second later, until it answers."""
    callee = Callee()
    async with living(store, callee, clock) as life:
        await life.keep("tick", every_s=60)
        await clock.advance(30)
        store.away = True
        await clock.advance(35)
        assert callee.came == []
        store.away = False
        for _ in range(3):
            await clock.advance(1)
        (firing,) = await life.ended("tick", 1)
        assert firing.outcome == pb.FIRING_OUTCOME_DONE


async def test_an_end_is_written_down_when_the_store_is_back(
    store: Counted, clock: FakeClock
) -> None:
    """Nobody else knows it: a call that may be made once would be one whose end is unknown."""

    class Cutting(Callee):
        async def call(self, wanted: calls.AgentCall, key: str) -> calls.AgentAnswer:
            store.away = True
            return await super().call(wanted, key)

    callee = Cutting()
    async with living(store, callee, clock) as life:
        await life.keep("once", every_s=3600, at_most_once=True)
        await clock.advance(3600)

        async def came() -> int:
            return len(callee.came)

        await eventually(came)
        await clock.advance(3)
        store.away = False
        for _ in range(3):
            await clock.advance(1)
        (firing,) = await life.ended("once", 1)
        assert firing.outcome == pb.FIRING_OUTCOME_DONE
        assert len(callee.came) == 1


async def test_what_fails_in_a_way_that_nobody_foresaw_ends_the_life(
    store: Counted, clock: FakeClock
) -> None:
    """So the host builds the agent again, and says why."""

    class Broken(Callee):
        async def call(self, _call: calls.AgentCall, key: str) -> calls.AgentAnswer:
            raise LookupError(key)

    with pytest.raises(ExceptionGroup) as raised:
        async with living(store, Broken(), clock) as life:
            await life.keep("tick", every_s=60)
            await clock.advance(60)
            await asyncio.get_running_loop().create_future()
    assert raised.group_contains(LookupError)
    assert not raised.group_contains(Failure)


async def test_an_index_that_cannot_be_read_now_is_read_later(
    store: Counted, clock: FakeClock
) -> None:
    """Calls in progress go on meanwhile."""
    callee = Callee()
    async with living(store, callee, clock) as life:
        await life.keep("tick", every_s=60)
        await clock.advance(30)
        store.away = True
        life.agenda.look_again()
        await clock.advance(20)
        store.away = False
        await clock.advance(15)
        assert len(await life.ended("tick", 1)) == 1


async def test_a_schedule_comes_due_also_where_its_maker_hangs_up(
    store: Counted, clock: FakeClock
) -> None:
    """While it was written: no other life looks into the index before it begins."""
    callee = Callee()
    async with living(store, callee, clock) as life:
        scheduler = Scheduler(life.book, life.agenda, callee, clock)
        request = service.CreateScheduleRequest(schedule_id="tick", plan=plan(every_s=60))
        nobody: Any = None

        async def made() -> None:
            await scheduler.CreateSchedule(request, nobody)

        await clock.advance(0)
        store.held.clear()
        making = Errands().start(made())
        await store.writing.wait()
        making.cancel()
        await asyncio.wait([making])
        store.held.set()
        await eventually(lambda: life.book.get("tick"), lambda found: found is not None)
        await clock.advance(61)
        assert len(await life.ended("tick", 1)) == 1
