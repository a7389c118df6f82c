"""An agent that leaves heavy work to processes of its own, as its callers see it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import listening
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.working import Workshop
from tandemkit.supervise.workers import Crew
from tandemkit.testing import probe
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.hosting.asking import get
from tests.unit.tandemkit.rpc.probed import Probe
from tests.unit.tandemkit.supervise import work
from tests.unit.tandemkit.supervise.test_processes import alive


class Heavy(Probe):
    """Does what the text says in a worker."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        super().__init__()
        self._workshop, self._begun = workshop, folder / "begun"

    async def _act(self, request: Any) -> Any:
        match request.text:
            case "die":
                await self._workshop.run(work.die)
            case "odd":
                await self._workshop.run(work.refuse, probe.TOO_ODD)
            case "for ever":
                await self._workshop.run(work.never_end, str(self._begun))
        return probe.ProbeResponse(text=str(await self._workshop.run(work.whose)))


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[Heavy]:
    yield Heavy(scope.workers(Crew(waiting_max=1)), scope.state_dir)


AGENT = Agent(contract=probe.DESCRIPTOR, build=build)


async def ask(channel: grpc.aio.Channel, method: str, text: str) -> str:
    call: Any = channel.unary_unary(probe.path(method))
    wire = await call(probe.ProbeRequest(text=text).SerializeToString())
    answer: Any = probe.parse(wire)
    return str(answer.text)


async def refused(channel: grpc.aio.Channel, method: str, text: str) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(channel, method, text)
    return failure_of(raised.value)


async def test_the_work_is_done_beside_the_host(tmp_path: Path) -> None:
    """In a process that ends with the agent; what the work refuses is the call's refusal."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        process = int(await ask(channel, "Echo", "whose"))
        assert process != os.getpid()
        assert (await refused(channel, "Echo", "odd")).reason == "TOO_ODD"
        assert int(await ask(channel, "Echo", "whose")) == process
    assert not alive(process)


async def test_a_worker_that_dies_is_the_calls_misfortune_alone(tmp_path: Path) -> None:
    """UNAVAILABLE, with a time after which to try again: which works."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        found = await refused(channel, "Echo", "die")
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "WORKER_LOST")
        assert found.retry_after_s
        assert await ask(channel, "Echo", "whose")


async def test_a_deadline_ends_the_work_too(tmp_path: Path) -> None:
    """The worker is killed with the call, and the next one has its turn."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        process = int(await ask(channel, "Echo", "whose"))
        found = await refused(channel, "Narrow", "for ever")
        assert found.reason == "DEADLINE_EXCEEDED"
        assert int(await ask(channel, "Echo", "whose")) != process
        while alive(process):
            await SystemClock().sleep(0.01)


async def test_what_workers_did_is_their_agents_account(tmp_path: Path) -> None:
    """Beside the calls that it answered, and how long those took."""
    held = listening("127.0.0.1:0")
    place = Place("127.0.0.1:0", tmp_path, SystemClock(), 0.0, http=held)
    async with (
        hosting([Placed(AGENT, None)], place) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        await ask(channel, "Echo", "whose")
        await refused(channel, "Echo", "die")
        (agent,) = (await get(held, "/health")).value["agents"]
        assert (agent["calls"], agent["calls_s"] > 0) == (2, True)
        page = (await get(held, "/metrics")).body.decode()
        labels = f'{{agent="probe-probe",service="{probe.SERVICE}"}}'
        assert f"tandem_agent_worker_runs_total{labels} 1" in page
        assert f"tandem_agent_worker_lost_total{labels} 1" in page
        assert f"tandem_agent_worker_cpu_seconds_total{labels} 0." in page


async def test_more_calls_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED, instead of a queue without an end."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        await ask(channel, "Echo", "whose")
        calls = [ask(channel, "Echo", "for ever") for _ in range(3)]
        done, waiting = await asyncio.wait(
            [asyncio.gather(one) for one in calls], return_when=asyncio.FIRST_COMPLETED
        )
        (failed,) = done
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            failed.result()
        found = failure_of(raised.value)
        assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        for one in waiting:
            one.cancel()
