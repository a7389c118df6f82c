"""Catalogue row M013: broker, workers and scheduler are killed with `kill -9`, at random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.tasks.job.agent import AGENT as JOBS
from services.tasks.scheduler.agent import AGENT as SCHEDULER
from tandem.tasks.v1 import job_pb2
from tandem.tasks.v1 import job_service_pb2 as pb
from tandem.tasks.v1 import job_service_pb2_grpc as rpc
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as schedules
from tandem.tasks.v1 import scheduler_service_pb2_grpc as schedules_rpc
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_queues import Broker, nats_broker, rabbitmq_broker
from tests.cluster import job_host, schedule_host, working_host
from tests.cluster.aloud import Tell
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.job_history import Work, faults, runs_in
from tests.cluster.mesh.trial_contract import ALPHA, Question

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
_CLOCK = SystemClock()
OVER = {job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_DEAD}
Queue = Mapping[str, object]


class Workplace:
    """A control, the agents of jobs and schedules, whom they call, and perhaps a broker."""

    def __init__(self, fleet: Controlled, queue: Queue, broker: Broker | None) -> None:
        self._fleet, self._queue, self.broker = fleet, queue, broker
        self._notes = fleet.folder / working_host.NOTES
        self._notes.touch()
        self.works: dict[str, Work] = {}

    async def start(self) -> None:
        settings = {working_host.AGENT.name: {"text": str(self._notes)}}
        await self._fleet.start_agents("working", working_host, settings)
        await self._fleet.until_serving("working", service=ALPHA)
        await self.start_worker()
        await self.start_scheduler()

    async def start_worker(self) -> None:
        await self._fleet.start_agents("jobs", job_host, {JOBS.name: {"workers": 8, **self._queue}})

    async def start_scheduler(self) -> None:
        await self._fleet.start_agents("scheduler", schedule_host, {SCHEDULER.name: {"hold": "1s"}})

    async def kill_worker(self) -> None:
        await self._fleet.kill("jobs")
        await self.start_worker()

    async def kill_scheduler(self) -> None:
        await self._fleet.kill("scheduler")
        await self.start_scheduler()

    async def kill_broker(self) -> None:
        assert self.broker is not None
        await self.broker.kill()
        await self.broker.start()

    async def submit(self, name: str, *, fate: str = "ok", once: bool = False) -> None:
        """Until it is accepted, however often that takes: an answer that was lost is asked for
        again with the same request id.
        """
        request = asked(name, fate, once=once)
        self.works[name] = Work(name, "", once, must_be_done=fate == "ok" and not once)
        while True:
            try:
                async with self._fleet.at("jobs") as channel:
                    stub: Any = rpc.JobServiceStub(channel)
                    told = await stub.SubmitJob(request, timeout=15, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in {
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                }:
                    raise
                await _CLOCK.sleep(0.2)
            else:
                self.works[name] = replace(self.works[name], job=told.job.name)
                return

    async def schedule(self, name: str, after: timedelta) -> None:
        """The scheduler submits it then."""
        self.works[name] = Work(name, must_be_done=True)
        plan = nouns.SchedulePlan()
        plan.trigger.at.FromDatetime(_CLOCK.now() + after)
        plan.misfire.policy = nouns.MISFIRE_POLICY_FIRE_ONCE
        plan.call.method = "/tandem.tasks.v1.JobService/SubmitJob"
        plan.call.request = asked(name, "ok", once=False, request_id="").SerializeToString()
        plan.retry.attempts_max = 20
        async with self._fleet.at("scheduler") as channel:
            stub: Any = schedules_rpc.SchedulerServiceStub(channel)
            request = schedules.CreateScheduleRequest(schedule_id=name, plan=plan)
            await stub.CreateSchedule(request, wait_for_ready=True)

    async def jobs(self) -> dict[str, job_pb2.Job]:
        """Those that were accepted, as they are now."""
        async with self._fleet.at("jobs") as channel:
            stub: Any = rpc.JobServiceStub(channel)
            found = [
                (await stub.GetJob(pb.GetJobRequest(name=work.job), wait_for_ready=True)).job
                for work in self.works.values()
                if work.job
            ]
        return {one.name: one for one in found}

    def runs(self) -> list[Any]:
        return runs_in(self._notes.read_text("ascii"))

    async def is_quiet(self) -> bool:
        """Whether nothing is left to do."""
        begun = {run.work for run in self.runs()}
        scheduled = {work.name for work in self.works.values() if not work.job}
        jobs = await self.jobs()
        return scheduled <= begun and all(one.state in OVER for one in jobs.values())


def asked(
    name: str, fate: str, *, once: bool, request_id: str | None = None
) -> pb.SubmitJobRequest:
    request = pb.SubmitJobRequest(request_id=name if request_id is None else request_id)
    request.call.method = f"/{ALPHA}/{'Add' if once else 'Ask'}"
    request.call.request = Question(text=f"{name} 0.02 {fate}").SerializeToString()
    request.retry.attempts_max, request.at_most_once = 100, once
    request.retry.backoff.FromMilliseconds(100)
    request.retry.backoff_max.FromSeconds(1)
    return request


@asynccontextmanager
async def working(kind: str) -> AsyncIterator[Workplace]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        broker: Broker | None = None
        queue: Queue = {}
        if kind == "nats":
            broker = await stack.enter_async_context(nats_broker())
            queue = {"nats": {"servers": [f"nats://127.0.0.1:{broker.port}"]}}
        elif kind == "rabbitmq":
            broker = await stack.enter_async_context(rabbitmq_broker())
            queue = {"rabbitmq": {"address": f"127.0.0.1:{broker.port}"}}
        fleet = await stack.enter_async_context(controlled(Path(folder)))
        place = Workplace(fleet, queue, broker)
        await place.start()
        yield place


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("sqlite", 8),
        pytest.param("nats", 50, marks=pytest.mark.real("nats")),
        pytest.param("rabbitmq", 6, marks=pytest.mark.real("rabbitmq")),
    ],
)
async def test_m013_broker_or_worker_killed_each_accepted_job_ends_done_or_dead_lettered(
    kind: str, kills: int, tell: Tell
) -> None:
    """While jobs come all the time, from a client and from a scheduler, who is killed too: none is
    lost, none is begun with two keys, and none that may happen once happens twice.
    """
    rng = random.Random(f"jobs/{kind}")
    async with working(kind) as place:
        dangers: list[Callable[[], Awaitable[None]]] = [place.kill_worker, place.kill_scheduler]
        if place.broker is not None:
            # A broker starts sooner than a host, so it may be killed more often in the same time.
            dangers += [place.kill_broker] * (3 if kind == "nats" else 1)
        for number in range(kills):
            await place.schedule(f"due-{number}", timedelta(seconds=rng.uniform(1, kills)))

        over = asyncio.Event()

        async def come() -> None:
            number = 0
            while not over.is_set():
                fate = working_host.BAD if number % 11 == 10 else "ok"
                await place.submit(f"work-{number}", fate=fate, once=number % 7 == 6)
                number += 1
                await _CLOCK.sleep(0.02)

        async def kill() -> None:
            try:
                for _ in range(kills):
                    await _CLOCK.sleep(rng.uniform(0.1, 0.6))
                    await rng.choice(dangers)()
            finally:
                over.set()

        await asyncio.gather(come(), kill())
        await eventually(place.is_quiet, within_s=90)
        jobs, runs = await place.jobs(), place.runs()
        again = len(runs) - len({run.work for run in runs})
        dead = sum(one.state == job_pb2.JOB_STATE_DEAD for one in jobs.values())
        tell(
            f"jobs on {kind}",
            f"{len(jobs)} accepted and {kills} scheduled, {kills} kills, {dead} dead letters, "
            f"{again} begun again with their key",
        )
        assert faults(place.works.values(), jobs, runs) == []
        assert len(jobs) > kills
