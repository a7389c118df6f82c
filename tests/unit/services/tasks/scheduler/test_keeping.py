"""Schedules that are kept, changed, listed and refused, through a real server."""

from __future__ import annotations

import asyncio

import grpc

from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.scheduler.asking import Scheduler, ended, fetched, refusal
from tests.unit.services.tasks.scheduler.targets import ONCE, Target, create, plan

CODE = grpc.StatusCode


async def test_a_retry_of_the_same_plan_finds_it_kept(scheduler: Scheduler) -> None:
    """Another plan under its id is refused."""
    made = await scheduler.CreateSchedule(create("tick", every_s=60))
    again = await scheduler.CreateSchedule(create("tick", every_s=60))
    assert again.schedule == made.schedule
    failed = await refusal(scheduler.CreateSchedule(create("tick", every_s=61)))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "SCHEDULE_EXISTS")


async def test_what_could_never_be_done_is_refused(scheduler: Scheduler) -> None:
    """Before it is kept, with the field that is at fault."""
    far = create("one", cron="0 0 31 2 *")
    request = create("one", every_s=60)
    request.plan.call.request = bytes(65_537)
    update = pb.UpdateScheduleRequest(
        name="schedules/one", plan=plan(every_s=60), expected_version=1
    )
    once = create(
        "one", every_s=60, call=calls.AgentCall(method=ONCE, request=update.SerializeToString())
    )
    nobody = create("one", every_s=60, call=calls.AgentCall(method="/tandem.a.v1.B/C"))
    cases = {
        "CRON_INVALID": create("one", cron="0 25 * * *"),
        "TIME_ZONE_UNKNOWN": create("one", cron="0 2 * * *", zone="Mars/Olympus"),
        "SCHEDULE_NEVER_DUE": far,
        "CALL_REQUEST_INVALID": request,
        "METHOD_NOT_REPEATABLE": once,
        "METHOD_UNKNOWN": nobody,
        "INVALID_REQUEST": create("one"),
    }
    request = create("one", every_s=60)
    request.plan.trigger.end_time.seconds = 10**15
    assert (await refusal(scheduler.CreateSchedule(request))).reason == "INVALID_REQUEST"
    for reason, refused in cases.items():
        assert (await refusal(scheduler.CreateSchedule(refused))).reason == reason
    failed = await refusal(scheduler.CreateSchedule(cases["CRON_INVALID"]))
    assert failed.code is CODE.INVALID_ARGUMENT
    said = {"cron_field": "hour", "position": "3", "found": "25"}
    assert failed.metadata.items() >= said.items()
    assert list(failed.violations) == ["plan.trigger.cron.expression"]


async def test_an_update_needs_the_version_that_is_there(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """The new plan holds from now on, and the old one's times are gone."""
    await scheduler.CreateSchedule(create("tick", every_s=60))
    request = pb.UpdateScheduleRequest(
        name="schedules/tick", plan=plan(every_s=600), expected_version=1
    )
    done = await scheduler.UpdateSchedule(request)
    assert done.schedule.version == 2
    failed = await refusal(scheduler.UpdateSchedule(request))
    assert (failed.code, failed.reason) == (CODE.ABORTED, "SCHEDULE_VERSION_CONFLICT")
    assert failed.metadata == {"expected": "1", "actual": "2"}
    await clock.advance(599)
    assert target.came == []
    await clock.advance(1)
    await ended(scheduler, "tick", 1)
    request.name = "schedules/nobody"
    assert (await refusal(scheduler.UpdateSchedule(request))).reason == "SCHEDULE_NOT_FOUND"


async def test_what_is_paused_does_not_come_due(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """Nor is it made up for afterwards."""
    await scheduler.CreateSchedule(create("tick", every_s=60))
    paused = await scheduler.PauseSchedule(pb.PauseScheduleRequest(name="schedules/tick"))
    assert paused.schedule.paused
    assert not paused.schedule.HasField("next_time")
    again = await scheduler.PauseSchedule(pb.PauseScheduleRequest(name="schedules/tick"))
    assert again.schedule.version == paused.schedule.version
    await clock.advance(150)
    await scheduler.ResumeSchedule(pb.ResumeScheduleRequest(name="schedules/tick"))
    await clock.advance(29)
    assert target.came == []
    await clock.advance(1)
    (firing,) = await ended(scheduler, "tick", 1)
    assert firing.missed == 0


async def test_what_is_deleted_is_gone(scheduler: Scheduler, clock: FakeClock) -> None:
    """With its times and firings, once."""
    await scheduler.CreateSchedule(create("tick", every_s=60))
    request = pb.DeleteScheduleRequest(name="schedules/tick", expected_version=2)
    assert (await refusal(scheduler.DeleteSchedule(request))).reason == "SCHEDULE_VERSION_CONFLICT"
    request.expected_version = 1
    assert (await scheduler.DeleteSchedule(request)).was_there
    assert not (await scheduler.DeleteSchedule(request)).was_there
    assert (await refusal(fetched(scheduler, "tick"))).reason == "SCHEDULE_NOT_FOUND"
    await clock.advance(60)


async def test_pages_list_every_schedule_once(scheduler: Scheduler) -> None:
    """By name; a token of another listing is refused."""
    ids = [f"tick-{number:02}" for number in range(25)]
    await asyncio.gather(*(scheduler.CreateSchedule(create(one, every_s=60)) for one in ids))
    await scheduler.CreateSchedule(create("other", every_s=60))
    request, found = pb.ListSchedulesRequest(id_prefix="tick", page_size=10), list[str]()
    while True:
        page = await scheduler.ListSchedules(request)
        found += [one.name for one in page.schedules]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [f"schedules/{one}" for one in ids]
    request.id_prefix = "other"
    failed = await refusal(scheduler.ListSchedules(request))
    assert failed.reason == "PAGE_TOKEN_INVALID"
