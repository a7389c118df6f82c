"""Catalogue row M012: a scheduler that is killed with `kill -9`, and whom it calls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.tasks.scheduler.agent import AGENT
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tests.cluster import noting_host, schedule_host
from tests.cluster.aloud import Tell
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import ALPHA, Question

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
SCHEDULER, SECOND = "scheduler", timedelta(seconds=1)
SCHEDULES, TIMES, KILLS = 30, 25, 8
_CLOCK = SystemClock()


class Scheduled:
    """A control, a scheduler and whom it calls, each a process."""

    def __init__(self, fleet: Controlled) -> None:
        self._fleet = fleet
        self._notes = fleet.folder / noting_host.NOTES
        self._notes.touch()

    @property
    def keys(self) -> list[str]:
        """Of the calls that began, in their order."""
        return self._notes.read_text("ascii").splitlines()

    async def start(self) -> None:
        await self._fleet.start_agents(
            "noting", noting_host, {noting_host.AGENT.name: {"text": str(self._notes)}}
        )
        await self._fleet.until_serving("noting", service=ALPHA)
        await self.start_scheduler()

    async def start_scheduler(self) -> None:
        settings = {AGENT.name: {"hold": "1s", "firingsKept": 100}}
        await self._fleet.start_agents(SCHEDULER, schedule_host, settings)

    async def kill(self) -> None:
        await self._fleet.kill(SCHEDULER)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[rpc.SchedulerServiceAsyncStub]:
        async with self._fleet.at(SCHEDULER) as channel:
            yield rpc.SchedulerServiceStub(channel)

    async def create(self, schedule_id: str, trigger: nouns.Trigger, takes_s: float) -> None:
        plan = nouns.SchedulePlan(trigger=trigger)
        plan.call.method = f"/{ALPHA}/Ask"
        plan.call.request = Question(text=str(takes_s)).SerializeToString()
        plan.misfire.policy, plan.misfire.catch_up_max = nouns.MISFIRE_POLICY_CATCH_UP, 1000
        async with self.client() as client:
            request = pb.CreateScheduleRequest(schedule_id=schedule_id, plan=plan)
            await client.CreateSchedule(request, wait_for_ready=True)

    async def is_over(self, schedule_id: str) -> bool:
        async with self.client() as client:
            asked: Any = pb.GetScheduleRequest(name=f"schedules/{schedule_id}")
            found = await client.GetSchedule(asked, wait_for_ready=True)
        firings = await self.firings(schedule_id)
        return not found.schedule.HasField("next_time") and all(
            one.HasField("end_time") for one in firings
        )

    async def firings(self, schedule_id: str) -> list[nouns.Firing]:
        async with self.client() as client:
            asked = pb.ListFiringsRequest(schedule=f"schedules/{schedule_id}")
            return list((await client.ListFirings(asked, wait_for_ready=True)).firings)


@pytest.fixture
async def it() -> AsyncIterator[Scheduled]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        found = Scheduled(await stack.enter_async_context(controlled(Path(folder))))
        await found.start()
        yield found


def key_of(schedule_id: str, due: datetime) -> str:
    return f"{schedule_id}-{due:%Y%m%dt%H%M%S%f}"


async def test_m012_a_kill_between_fire_and_record_repeats_the_key(it: Scheduled) -> None:
    """The callee had the call and the scheduler never heard the end: the next life calls again, and
    says the same key.
    """
    at = _CLOCK.now().replace(microsecond=0) + 2 * SECOND
    trigger = nouns.Trigger()
    trigger.at.FromDatetime(at)
    await it.create("once", trigger, takes_s=3)

    async def came() -> list[str]:
        return it.keys

    await eventually(came)
    await it.kill()
    await it.start_scheduler()
    await eventually(lambda: it.is_over("once"), within_s=30)
    (firing,) = await it.firings("once")
    assert (firing.outcome, firing.attempts) == (nouns.FIRING_OUTCOME_DONE, 2)
    assert it.keys == [key_of("once", at)] * 2


async def test_m012_a_restart_loses_and_doubles_no_due_task(it: Scheduled, tell: Tell) -> None:
    """Killed at random moments while schedules come due all the time: the callee sees the key of
    each time, and no other, and each time is one firing that is done.
    """
    rng = random.Random(12)
    begin = _CLOCK.now().replace(microsecond=0) + 2 * SECOND
    expected: dict[str, list[str]] = {}
    for number in range(SCHEDULES):
        schedule_id, anchor = f"tick-{number}", begin + number * SECOND / SCHEDULES
        trigger = nouns.Trigger()
        trigger.every.period.FromTimedelta(SECOND)
        trigger.every.anchor.FromDatetime(anchor)
        trigger.end_time.FromDatetime(anchor + (TIMES - 1) * SECOND)
        await it.create(schedule_id, trigger, takes_s=0.2)
        expected[schedule_id] = [key_of(schedule_id, anchor + n * SECOND) for n in range(TIMES)]
    for _ in range(KILLS):
        await _CLOCK.sleep(rng.uniform(0.3, 1.5))
        await it.kill()
        await it.start_scheduler()
    for schedule_id in expected:
        await eventually(partial(it.is_over, schedule_id), within_s=60)
    came = Counter(it.keys)
    again = sum(came.values()) - len(came)
    tell("firings", f"{len(came)} of {SCHEDULES * TIMES}, {KILLS} kills, {again} called again")
    assert set(came) == {key for keys in expected.values() for key in keys}
    for schedule_id, keys in expected.items():
        firings = await it.firings(schedule_id)
        assert [one.key for one in reversed(firings)] == keys
        assert {one.outcome for one in firings} == {nouns.FIRING_OUTCOME_DONE}
    assert again > 0
