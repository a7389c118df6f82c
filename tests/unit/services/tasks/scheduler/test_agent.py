"""Catalogue row M012: calls at times, through a real server."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

from services.tasks.scheduler.agent import AGENT
from tandem.platform.v1 import errors_pb2 as platform
from tandem.tasks.config.v1 import scheduler_pb2 as cfg
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.scheduler.asking import Scheduler, advance, ended, fetched, firings
from tests.unit.services.tasks.scheduler.targets import Target, create


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


async def test_m012_an_interval_keeps_its_distance(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """Every time is a multiple of the period behind the first, whatever firings take."""
    await scheduler.CreateSchedule(create("tick", every_s=60))
    start = clock.now()
    for count in range(1, 4):
        await clock.advance(60)
        await ended(scheduler, "tick", count)
    assert [at - start for _, at in target.came] == [timedelta(minutes=n) for n in (1, 2, 3)]
    assert (await fetched(scheduler, "tick")).next_time.ToDatetime(UTC) == start + timedelta(
        minutes=4
    )


async def test_m012_cron_goes_by_its_zone(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """Two in the morning in Berlin, on the day without it, is three; the preview says so too."""
    made = await scheduler.CreateSchedule(create("early", cron="0 2 * 3 *", zone="Europe/Berlin"))
    assert made.schedule.next_time.ToJsonString() == "2026-03-01T01:00:00Z"
    asked = pb.PreviewTimesRequest(schedule="schedules/early", times_max=3)
    asked.after.FromJsonString("2026-03-28T00:00:00Z")
    told = await scheduler.PreviewTimes(asked)
    assert [one.ToJsonString() for one in told.times] == [
        "2026-03-28T01:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:00:00Z",
    ]
    await clock.advance((made.schedule.next_time.ToDatetime(UTC) - clock.now()).total_seconds())
    await ended(scheduler, "early", 1)
    assert target.keys == ["early-20260301t010000000000"]


async def test_a_call_that_may_succeed_later_is_made_again(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """With the same key, after a pause; and a failure that lasts is told."""
    # The mesh tries a method that changes nothing twice by itself.
    target.failing = 4
    await scheduler.CreateSchedule(create("tick", every_s=3600))
    await clock.advance(3600)
    await advance(clock, target, 5)
    (firing,) = await ended(scheduler, "tick", 1)
    assert target.keys == ["tick-20260101t010000000000"] * 5
    assert (firing.outcome, firing.attempts) == (nouns.FIRING_OUTCOME_DONE, 3)
    target.failing = 1
    target.error = CallerError(platform.ERROR_REASON_MACHINE_UNSEEN, "it was told to fail")
    await clock.advance(3600)
    (firing, _) = await ended(scheduler, "tick", 2)
    assert (firing.outcome, firing.attempts) == (nouns.FIRING_OUTCOME_FAILED, 1)
    assert firing.failure.reason == "MACHINE_UNSEEN"


async def test_firings_are_forgotten_from_the_oldest(tmp_path: Path, target: Target) -> None:
    """The settings say how many are kept."""
    clock = FakeClock()
    settings = cfg.SchedulerSettings(firings_kept=2)
    serves = serving(
        AGENT, settings=settings, beside=(target.agent,), state_dir=tmp_path, clock=clock
    )
    async with serves as channel:
        scheduler: Scheduler = rpc.SchedulerServiceStub(channel)
        await scheduler.CreateSchedule(create("tick", every_s=60))
        for count in range(1, 5):
            await advance(clock, target, count, by_s=20)
        found = await ended(scheduler, "tick", 2)
        assert [one.key[-10:-6] for one in found] in (["0400", "0300"], ["0300", "0200"])


async def test_a_clock_that_is_set_loses_and_doubles_nothing(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """Put forward over a time, it is fired at once; put back behind it, it does not come again."""
    start = clock.now()
    await scheduler.CreateSchedule(create("tick", every_s=3600))
    await clock.set_wall(start + timedelta(minutes=61))
    (firing,) = await ended(scheduler, "tick", 1)
    assert firing.key == "tick-20260101t010000000000"
    await clock.set_wall(start + timedelta(minutes=30))
    await clock.advance(60 * 60)
    assert len(target.came) == 1
    await clock.advance(30 * 60)
    (firing, _) = await ended(scheduler, "tick", 2)
    assert target.keys == ["tick-20260101t010000000000", "tick-20260101t020000000000"]


async def test_m012_a_restart_knows_what_was_planned(
    tmp_path: Path, clock: FakeClock, target: Target
) -> None:
    """What came due meanwhile is fired late, once, and says what it gave up."""
    beside = (target.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        await rpc.SchedulerServiceStub(channel).CreateSchedule(create("tick", every_s=60))
    await clock.advance(5 * 60 + 30)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        scheduler: Scheduler = rpc.SchedulerServiceStub(channel)
        (firing,) = await ended(scheduler, "tick", 1)
        assert (firing.key, firing.missed) == ("tick-20260101t000500000000", 4)
        assert len(target.came) == 1


async def test_a_long_call_stays_its_callers(
    scheduler: Scheduler, clock: FakeClock, target: Target
) -> None:
    """Its hold is renewed as long as it takes, and the next time waits for its end."""
    target.open.clear()
    request = create("tick", every_s=60)
    request.plan.misfire.policy = nouns.MISFIRE_POLICY_SKIP
    await scheduler.CreateSchedule(request)
    await clock.advance(60)
    await advance(clock, target, 1)
    for _ in range(30):
        await clock.advance(2.5)
        (running,) = await firings(scheduler, "tick")
        assert (running.outcome, running.attempts) == (nouns.FIRING_OUTCOME_RUNNING, 1)
    assert len(target.came) == 1
    target.open.set()
    found = await ended(scheduler, "tick", 2)
    assert [one.outcome for one in found] == [
        nouns.FIRING_OUTCOME_SKIPPED,
        nouns.FIRING_OUTCOME_DONE,
    ]
