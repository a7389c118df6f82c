"""What a hundred thousand schedules cost, and how late a thousand firings a second are: beside bare
timers of asyncio at the same rate, which call nobody and write nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from services.tasks.scheduler.agent import AGENT
from tandem.platform.v1 import system_service_pb2 as system
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.telemetry.process import Usage
from tandemkit.testing.agents import fake_agent, serving

AT_ONCE, AHEAD_S = 32, 30
_CLOCK = SystemClock()
_METHOD = "/tandem.platform.v1.SystemService/ListSystem"

Row = dict[str, float | str]


class Callee:
    """Notes how late each firing came, by the time in its key."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    @property
    def agent(self) -> Agent:
        return fake_agent(system.DESCRIPTOR, ListSystem=self._answer)

    async def _answer(self, _request: Any, context: Any) -> system.ListSystemResponse:
        key = dict(context.invocation_metadata())[KEY_HEADER]
        due = datetime.strptime(key.rpartition("-")[2], "%Y%m%dt%H%M%S%f").replace(tzinfo=UTC)
        self.late_s.append((_CLOCK.now() - due).total_seconds())
        return system.ListSystemResponse()


def asleep(number: int) -> pb.CreateScheduleRequest:
    """A time that does not come while we look."""
    request = pb.CreateScheduleRequest(schedule_id=f"sleeps-{number}")
    request.plan.trigger.cron.expression = f"{number % 60} {number % 24} 1 1 *"
    request.plan.trigger.cron.time_zone = "Europe/Berlin"
    request.plan.call.method = _METHOD
    return request


def due(number: int, at: datetime) -> pb.CreateScheduleRequest:
    request = pb.CreateScheduleRequest(schedule_id=f"fires-{number}")
    request.plan.trigger.at.FromDatetime(at)
    request.plan.misfire.policy = nouns.MISFIRE_POLICY_FIRE_ONCE
    request.plan.call.method = _METHOD
    return request


async def create(stub: Any, requests: list[pb.CreateScheduleRequest]) -> float:
    """How many a second."""
    began_s, waiting = _CLOCK.monotonic_s(), iter(requests)

    async def some() -> None:
        for request in waiting:
            while True:
                try:
                    await stub.CreateSchedule(request)
                except grpc.aio.AioRpcError as error:
                    # A busy machine sheds load.
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    await _CLOCK.sleep(0.1)
                else:
                    break

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return len(requests) / (_CLOCK.monotonic_s() - began_s)


def percentiles(what: str, late_s: list[float], rate: int, cpu_s: float) -> Row:
    ordered = sorted(late_s)
    count = len(ordered)
    return {
        "what": what,
        "rate_per_s": rate,
        "count": count,
        "p50_ms": round(1e3 * ordered[count // 2], 2),
        "p99_ms": round(1e3 * ordered[count * 99 // 100], 2),
        "max_ms": round(1e3 * ordered[-1], 2),
        "cpu_us_each": round(1e6 * cpu_s / count),
    }


async def timers(rate: int, seconds: int) -> Row:
    """What asyncio alone does."""
    late_s: list[float] = []
    begin = _CLOCK.now() + timedelta(seconds=1)
    before_s = Usage.now().cpu_s

    async def one(at: datetime) -> None:
        await _CLOCK.sleep((at - _CLOCK.now()).total_seconds())
        late_s.append((_CLOCK.now() - at).total_seconds())

    moments = (begin + timedelta(seconds=number / rate) for number in range(rate * seconds))
    await asyncio.gather(*(one(at) for at in moments))
    return percentiles("bare timers", late_s, rate, Usage.now().cpu_s - before_s)


async def firings(stub: Any, callee: Callee, rate: int, seconds: int) -> Row:
    callee.late_s.clear()
    count = rate * seconds
    begin = _CLOCK.now() + timedelta(seconds=AHEAD_S)
    requests = [due(number, begin + timedelta(seconds=number / rate)) for number in range(count)]
    await create(stub, requests)
    assert _CLOCK.now() < begin, "the machine is too slow for this rate: they were due before"
    await _CLOCK.sleep_until(begin)
    before_s = Usage.now().cpu_s
    while len(callee.late_s) < count:
        await _CLOCK.sleep(0.1)
    return percentiles("schedules", callee.late_s, rate, Usage.now().cpu_s - before_s)


async def measure(schedules: int, rate: int, seconds: int) -> list[Row]:
    callee = Callee()
    rows: list[Row] = [await timers(rate, seconds)]
    with tempfile.TemporaryDirectory() as folder:
        serves = serving(AGENT, beside=(callee.agent,), state_dir=Path(folder))
        async with serves as channel:
            stub = rpc.SchedulerServiceStub(channel)
            await create(stub, [asleep(number) for number in range(1000)])
            before = Usage.now().memory_bytes or 0
            per_s = await create(stub, [asleep(number) for number in range(1000, schedules)])
            grown = ((Usage.now().memory_bytes or 0) - before) / 2**20
            rows.append({"what": f"insert up to {schedules}", "per_s": round(per_s)})
            rows.append({"what": f"memory of {schedules}", "grown_mib": round(grown, 1)})
            rows.append(await firings(stub, callee, rate, seconds))
        began_s = _CLOCK.monotonic_s()
        async with serving(AGENT, beside=(callee.agent,), state_dir=Path(folder)) as channel:
            stub = rpc.SchedulerServiceStub(channel)
            await stub.GetSchedule(pb.GetScheduleRequest(name="schedules/sleeps-1"))
            passed_ms = round(1e3 * (_CLOCK.monotonic_s() - began_s))
            rows.append({"what": f"restart with {schedules}", "ms": passed_ms})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="(default 100000)")
    parser.add_argument("--rate", type=int, default=1000, help="firings a second (default 1000)")
    parser.add_argument("--seconds", type=int, default=10, help="(default 10)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    said = parser.parse_args()
    for row in asyncio.run(measure(said.schedules, said.rate, said.seconds)):
        if said.json:
            sys.stdout.write(json.dumps({"bench": "scheduler", **row}) + "\n")
        else:
            fields = ", ".join(f"{key} {value}" for key, value in row.items() if key != "what")
            sys.stdout.write(f"{row['what']}: {fields}\n")


if __name__ == "__main__":
    main()
