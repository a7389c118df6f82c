"""Catalogue row M012: calls at times, through a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.tasks.scheduler.targets import Target, create

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


async def test_m012_a_time_that_has_come_is_fired_once(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """At its time and not before, with a key that names both; then the schedule is over."""
    due = clock.now() + timedelta(seconds=60)
    made = await scheduler.CreateSchedule(create("once", at=due))
    assert made.schedule.next_time.ToDatetime(due.tzinfo) == due
    await clock.advance(59)
    assert target.came == []
    await clock.advance(1)
    (firing,) = await ended(scheduler, "once", 1)
    assert target.came == [("once-20260101t000100000000", due)]
    assert firing.outcome == nouns.FIRING_OUTCOME_DONE
    assert firing.name == "schedules/once/2026-01-01T00:01:00Z"
    found = await scheduler.GetSchedule(pb.GetScheduleRequest(name="schedules/once"))
    assert not found.schedule.HasField("next_time")
