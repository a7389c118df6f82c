"""What a host says of itself over HTTP, while its agents come, fail and go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import Answer, listening
from tandemkit.hosting.probing import PROBE_INTERVAL_S
from tandemkit.hosting.scope import Scope
from tandemkit.supervise.tasks import Tasks
from tandemkit.telemetry.exposition import OPEN_METRICS
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.hosting.asking import get
from tests.unit.tandemkit.hosting.mortal import BACK_S, Mortal
from tests.unit.tandemkit.hosting.probe_agent import AGENT
from tests.unit.tandemkit.rpc.probed import Probe, Probed

NAME = "probe-probe"


@asynccontextmanager
async def facing(agent: Agent, folder: Path, clock: FakeClock) -> AsyncIterator[socket.socket]:
    held = listening("127.0.0.1:0")
    place = Place(f"unix:{folder}/sock", folder, clock, 0.0, http=held)
    async with hosting([Placed(agent, None)], place):
        yield held


class Ailing:
    """An agent that serves while nothing is in `ailments`."""

    def __init__(self) -> None:
        self.ailments: list[Exception] = []

    @property
    def agent(self) -> Agent:
        @asynccontextmanager
        async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
            scope.ready_when(self._well)
            yield Probe()

        return replace(AGENT, build=build, settings=None)

    async def _well(self) -> None:
        if self.ailments:
            raise self.ailments[0]


async def test_a_host_whose_agents_serve_is_healthy(tmp_path: Path) -> None:
    """It says who it is, how long it runs and what it uses."""
    clock = FakeClock()
    async with facing(Ailing().agent, tmp_path, clock) as held:
        await clock.advance(90)
        found = await get(held, "/health")
        assert (found.status, found.headers["Content-Type"]) == (200, "application/json")
        said = found.value
        assert (said["status"], said["uptime_s"]) == ("SERVING", 90)
        used = {"calls": 0, "calls_s": 0.0, "workers_cpu_s": 0}
        agent = {"name": NAME, "service": probe.SERVICE, "status": "SERVING", "cause": None}
        assert said["agents"] == [agent | used]
        assert said["memory_bytes"] > 1 << 20
        assert said["cpu_s"] > 0
        assert said["machine"]
        assert {"version", "host"} < said.keys()
        assert (await get(held, f"/health/{NAME}")).value == agent | used


async def test_an_unwell_agent_is_said_with_its_cause(tmp_path: Path) -> None:
    """By a status that probes understand, for the host and for the agent, until it is well."""
    ailing, clock = Ailing(), FakeClock()
    async with facing(ailing.agent, tmp_path, clock) as held:
        ailing.ailments.append(OSError("the model is gone"))
        await clock.advance(PROBE_INTERVAL_S)
        found = await get(held, "/health")
        assert (found.status, found.value["status"]) == (503, "NOT_SERVING")
        found = await get(held, f"/health/{NAME}")
        assert (found.status, found.value["status"]) == (503, "NOT_SERVING")
        assert "the model is gone" in found.value["cause"]
        assert await up_of(held) == 0
        ailing.ailments.clear()
        await clock.advance(PROBE_INTERVAL_S)
        assert (await get(held, "/health")).status == 200
        assert await up_of(held) == 1


async def test_an_agent_that_failed_is_said_to_be_built_again(tmp_path: Path) -> None:
    """With what it failed of; once it is back, its restart stays counted."""
    mortal, clock = Mortal(), FakeClock()
    async with facing(mortal.agent, tmp_path, clock) as held:
        mortal.fail()
        await clock.advance(0)
        found = await get(held, f"/health/{NAME}")
        assert found.status == 503
        assert found.value["cause"].startswith("it failed and is built again: ")
        await clock.advance(BACK_S)
        assert (await get(held, f"/health/{NAME}")).status == 200
        said = (await get(held, "/metrics")).body.decode()
        assert f'restarts_total{{agent="{NAME}",service="{probe.SERVICE}"}} 1\n' in said


async def test_a_host_can_be_asked_before_and_behind_its_agents(tmp_path: Path) -> None:
    """While the first is built it says so, and while calls in progress finish it says DRAINING."""
    built, opened, ended, gone = (asyncio.Event() for _ in range(4))
    servicer = Probe()
    held = listening("127.0.0.1:0")
    address = f"unix:{tmp_path}/sock"

    @asynccontextmanager
    async def build(_scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        await built.wait()
        yield servicer

    async def serve() -> None:
        placed = Placed(replace(AGENT, build=build, settings=None), None)
        async with hosting([placed], Place(address, tmp_path, FakeClock(), 30.0, http=held)):
            opened.set()
            await ended.wait()
        gone.set()

    async with Tasks() as tasks:
        tasks.spawn("host", serve())
        found = await get(held, "/health")
        assert (found.status, found.value["agents"][0]["cause"]) == (503, "it is being built")
        built.set()
        await opened.wait()
        async with grpc.aio.insecure_channel(address) as channel:
            server: Any = None
            hanging = Probed(servicer, server, channel).unary("Echo", "hang")
            await servicer.entered.wait()
            ended.set()
            while (found := await get(held, "/health")).status == 200:
                pass
            assert (found.status, found.value["status"]) == (503, "DRAINING")
            assert found.value["agents"][0]["status"] == "DRAINING"
            servicer.freed.set()
            assert (await hanging).text == "hang"
        await gone.wait()


async def test_other_paths_name_the_pages(tmp_path: Path) -> None:
    """Who mistypes an agent's name finds it."""
    async with facing(Ailing().agent, tmp_path, FakeClock()) as held:
        for path in ("/", "/health/nobody", f"/{NAME}", f"/metrics/{NAME}"):
            found = await get(held, path)
            assert found.status == 404
            assert found.value["pages"] == ["/health", f"/health/{NAME}", "/metrics"]


async def test_metrics_are_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    """OpenMetrics for a Prometheus that prefers it, and the plain text for others."""
    async with facing(Ailing().agent, tmp_path, FakeClock()) as held:
        found = await get(held, "/metrics", "application/openmetrics-text; version=1.0.0")
        assert found.headers["Content-Type"] == OPEN_METRICS
        assert found.body.endswith(b"# EOF\n")
        found = await get(held, "/metrics")
        assert found.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"process_resident_memory_bytes " in found.body


async def up_of(held: socket.socket) -> int:
    said = (await get(held, "/metrics")).body.decode()
    (line,) = (one for one in said.splitlines() if one.startswith("tandem_agent_up{"))
    return int(line.rpartition(" ")[2])


async def test_an_agent_has_pages_of_its_own(tmp_path: Path) -> None:
    """Below the path that it named; all others are the host's."""

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        scope.show("/own", lambda path, _accept: Answer(HTTPStatus.OK, f"this is {path}"))
        yield Probe()

    async with facing(Agent(probe.DESCRIPTOR, build), tmp_path, FakeClock()) as held:
        assert (await get(held, "/own/a")).body == b"this is /own/a"
        assert (await get(held, "/own")).status == HTTPStatus.OK
        missing = await get(held, "/owner")
        assert missing.status == HTTPStatus.NOT_FOUND
        assert "/own" in missing.value["pages"]
