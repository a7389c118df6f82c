"""An agent that calls another one: what it is given, what it waits for, and where its calls go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.utility.v1 import files_service_pb2 as files
from tandem.utility.v1 import text_pb2 as text
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandem.utility.v1 import toolbox_service_pb2_grpc as toolbox_rpc
from tandemkit.core.errors import Bug
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.needs import Fleet, Needs, Waiting
from tandemkit.hosting.probing import PROBE_INTERVAL_S
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.rpc.probed import Probe

TOOLBOX = "tandem.utility.v1.ToolboxService"
STATUS = health_pb2.HealthCheckResponse


class Counting(Probe):
    """Has the toolbox count the words of what it is told."""

    def __init__(self, stub: toolbox_rpc.ToolboxServiceAsyncStub) -> None:
        super().__init__()
        self._toolbox = stub

    async def Echo(self, request: Any, _context: Any) -> Any:
        told = await self._toolbox.MeasureText(text.MeasureTextRequest(text=request.text))
        return probe.ProbeResponse(text=str(told.words))


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[Counting]:
    yield Counting(scope.stub(toolbox_rpc.ToolboxServiceStub))


AGENT = Agent(contract=probe.DESCRIPTOR, calls=(toolbox.DESCRIPTOR,), build=build)
SOFT = replace(AGENT, calls=(), soft_calls=(toolbox.DESCRIPTOR,))


async def ask(channel: grpc.aio.Channel, words: str) -> str:
    echo: Any = channel.unary_unary(
        probe.path("Echo"), probe.ProbeRequest.SerializeToString, probe.ProbeResponse.FromString
    )
    return str((await echo(probe.ProbeRequest(text=words))).text)


async def status_of(channel: grpc.aio.Channel, service: str = probe.SERVICE) -> int:
    health = health_pb2_grpc.HealthStub(channel)
    return int((await health.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_a_call_to_an_agent_of_the_same_host_stays_in_the_process(tmp_path: Path) -> None:
    """The one who is called sees that its caller came without a connection."""
    peers = []

    async def measure(request: Any, context: Any) -> Any:
        peers.append(context.peer())
        return text.MeasureTextResponse(words=len(request.text.split()))

    callee = fake_agent(toolbox.DESCRIPTOR, MeasureText=measure)
    async with serving(AGENT, beside=(callee,), state_dir=tmp_path) as channel:
        assert await ask(channel, "one two") == "2"
        assert await status_of(channel) == STATUS.SERVING
    assert [peer.partition(":")[0] for peer in peers] == ["in-process"]


async def test_an_agent_without_a_fleet_reaches_nobody_else(tmp_path: Path) -> None:
    """It serves, as it can do without; the call fails at once and as the callee's absence."""
    async with serving(SOFT, state_dir=tmp_path) as channel:
        assert await status_of(channel) == STATUS.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel, "a")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stub_that_is_not_declared_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """The dependency graph is what agents declare, so nothing else may be called."""
    undeclared = replace(AGENT, calls=(files.DESCRIPTOR,))
    with pytest.raises(Bug, match=f"add the contract's DESCRIPTOR.*undeclared='{TOOLBOX}'"):
        async with serving(undeclared, state_dir=tmp_path):
            pass


async def test_an_agent_waits_once_for_those_that_it_calls(tmp_path: Path) -> None:
    """It serves when its callee does, and goes on serving when that one fails later."""
    ailments = [OSError("model still loads")]

    async def well() -> None:
        if ailments:
            raise ailments[0]

    @asynccontextmanager
    async def ailing(scope: Scope, settings: None) -> AsyncIterator[Any]:
        scope.ready_when(well)
        async with fake_agent(toolbox.DESCRIPTOR).build(scope, settings) as servicer:
            yield servicer

    callee = Agent(contract=toolbox.DESCRIPTOR, build=ailing)
    clock = FakeClock()
    async with serving(AGENT, beside=(callee,), state_dir=tmp_path, clock=clock) as channel:
        assert await status_of(channel) == STATUS.NOT_SERVING
        cured = ailments.pop()
        await clock.advance(2 * PROBE_INTERVAL_S)
        assert await status_of(channel) == STATUS.SERVING
        ailments.append(cured)
        await clock.advance(2 * PROBE_INTERVAL_S)
        assert await status_of(channel, TOOLBOX) == STATUS.NOT_SERVING
        assert await status_of(channel) == STATUS.SERVING


async def test_an_agent_is_built_behind_its_callees_and_closed_before_them(tmp_path: Path) -> None:
    """In whatever order they are named, so that what it calls is there while it is."""
    diary: list[str] = []

    def noting(agent: Agent) -> Agent:
        @asynccontextmanager
        async def noted(scope: Scope, settings: None) -> AsyncIterator[Any]:
            diary.append(f"{agent.name} built")
            async with agent.build(scope, settings) as servicer:
                yield servicer
            diary.append(f"{agent.name} closed")

        return replace(agent, build=noted)

    callee = noting(fake_agent(toolbox.DESCRIPTOR))
    async with serving(noting(AGENT), beside=(callee,), state_dir=tmp_path):
        pass
    there, here = "utility-toolbox", "probe-probe"
    assert diary == [f"{there} built", f"{here} built", f"{here} closed", f"{there} closed"]


async def test_agents_that_wait_for_each_other_do_not_start(tmp_path: Path) -> None:
    """The cycle is named."""
    other = replace(fake_agent(toolbox.DESCRIPTOR), calls=(probe.DESCRIPTOR,))
    cycle = "probe-probe -> utility-toolbox -> probe-probe"
    with pytest.raises(Bug, match=cycle):
        async with serving(AGENT, beside=(other,), state_dir=tmp_path):
            pass


async def test_a_callee_elsewhere_is_asked_for_at_the_first_control_that_answers(
    tmp_path: Path,
) -> None:
    """What nobody serves, and what nobody knows, is named as the reason to wait."""
    control = Server()
    control.health.put(TOOLBOX, serving=False)
    await control.start(address := f"unix:{tmp_path}/control")
    fleet = Fleet((f"unix:{tmp_path}/nobody", address))
    needs = Needs((toolbox.DESCRIPTOR, files.DESCRIPTOR), lambda _service: False, fleet)
    try:
        with pytest.raises(Waiting, match=r"agents='tandem\.utility.*Toolbox.*, .*Files"):
            await needs.met()
        control.health.put(TOOLBOX, serving=True)
        with pytest.raises(Waiting, match=r"agents='tandem\.utility\.v1\.FilesService'"):
            await needs.met()
        control.health.put("tandem.utility.v1.FilesService", serving=True)
        await needs.met()
    finally:
        await control.drain(0)
    await needs.met()
    silent = Needs((files.DESCRIPTOR,), lambda _service: False, fleet)
    with pytest.raises(Waiting, match="no control answers"):
        await silent.met()
