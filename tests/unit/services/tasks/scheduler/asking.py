"""What tests ask a scheduler."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeAlias

import grpc
import pytest

from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.tasks.scheduler.targets import Target

Scheduler: TypeAlias = "rpc.SchedulerServiceAsyncStub"


async def firings(scheduler: Scheduler, schedule_id: str) -> list[nouns.Firing]:
    asked = pb.ListFiringsRequest(schedule=f"schedules/{schedule_id}")
    return list((await scheduler.ListFirings(asked)).firings)


async def ended(scheduler: Scheduler, schedule_id: str, count: int) -> list[nouns.Firing]:
    """The firings, once so many are over."""

    async def look() -> list[nouns.Firing]:
        found = await firings(scheduler, schedule_id)
        return [one for one in found if one.HasField("end_time")]

    return await eventually(look, lambda found: len(found) >= count)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def fetched(scheduler: Scheduler, schedule_id: str) -> nouns.Schedule:
    asked = pb.GetScheduleRequest(name=f"schedules/{schedule_id}")
    return (await scheduler.GetSchedule(asked)).schedule


async def advance(clock: FakeClock, target: Target, count: int, *, by_s: float = 1.0) -> None:
    """Lets time pass in steps until so many calls came; what is on disk takes no time of this
    clock.
    """

    async def step() -> int:
        if len(target.came) < count:
            await clock.advance(by_s)
        return len(target.came)

    await eventually(step, lambda came: came >= count)
