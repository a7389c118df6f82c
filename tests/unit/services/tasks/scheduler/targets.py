"""Somebody whom schedules call, who notes each call and can fail; and requests about schedules."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from tandem.platform.v1 import errors_pb2 as platform
from tandem.platform.v1 import system_service_pb2 as system
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.testing.agents import fake_agent

METHOD = "/tandem.platform.v1.SystemService/ListSystem"
# Neither idempotent nor a `request_id`.
ONCE = "/tandem.tasks.v1.SchedulerService/UpdateSchedule"


class Target:
    """`came`: the keys of the calls, each with the moment at which it began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.came: list[tuple[str, datetime]] = []
        self.failing = 0
        self.error: Failure = TransientError(
            platform.ERROR_REASON_STORE_UNREACHABLE, "it was told to fail", retry_after_s=0.01
        )
        self.open = asyncio.Event()
        self.open.set()

    @property
    def agent(self) -> Agent:
        return fake_agent(system.DESCRIPTOR, ListSystem=self._answer)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.came]

    async def _answer(self, _request: Any, context: Any) -> system.ListSystemResponse:
        headers = dict(context.invocation_metadata())
        self.came.append((headers[KEY_HEADER], self._clock.now()))
        if self.failing:
            self.failing -= 1
            raise self.error
        await self.open.wait()
        return system.ListSystemResponse()


def plan(**fields: Any) -> nouns.SchedulePlan:
    """One that calls the target; `at`, `every_s` or `cron` say when."""
    made = nouns.SchedulePlan(call=calls.AgentCall(method=METHOD))
    if "at" in fields:
        made.trigger.at.FromDatetime(fields.pop("at"))
    if "every_s" in fields:
        made.trigger.every.period.FromTimedelta(timedelta(seconds=fields.pop("every_s")))
    if "cron" in fields:
        made.trigger.cron.expression = fields.pop("cron")
        made.trigger.cron.time_zone = fields.pop("zone", "")
    made.MergeFrom(nouns.SchedulePlan(**fields))
    return made


def create(schedule_id: str, **fields: Any) -> pb.CreateScheduleRequest:
    return pb.CreateScheduleRequest(schedule_id=schedule_id, plan=plan(**fields))
