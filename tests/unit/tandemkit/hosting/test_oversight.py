"""HostService: what a machine's supervisor sees of a host, and has its agents do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.oversight import USAGE_S_MAX
from tandemkit.hosting.scope import Scope
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.hosting.asking import get
from tests.unit.tandemkit.hosting.mortal import BACK_S, Mortal
from tests.unit.tandemkit.hosting.overseen import PROBE, TOOLBOX, overseen
from tests.unit.tandemkit.rpc.probed import Probed

CODE = grpc.StatusCode
SERVING, NOT_SERVING = nouns.AGENT_STATE_SERVING, nouns.AGENT_STATE_NOT_SERVING
SUSPENDED, STOPPED = nouns.AGENT_STATE_SUSPENDED, nouns.AGENT_STATE_STOPPED
DRAINING = nouns.AGENT_STATE_DRAINING


async def test_a_watch_tells_each_change_with_its_cause(tmp_path: Path) -> None:
    """It begins with the host as it is, and a failure, a rebuild and its count follow at once."""
    async with overseen(tmp_path) as host:
        watch: Any = host.stub.WatchHost(pb.WatchHostRequest())
        first = await watch.read()
        assert [(one.name, one.state) for one in first.agents] == [
            (PROBE, SERVING),
            (TOOLBOX, SERVING),
        ]
        assert first.agents[0].service == probe.SERVICE
        assert first.memory_bytes > 1 << 20
        assert first.cpu.ToTimedelta().total_seconds() > 0
        host.mortal.fail()
        await host.clock.advance(0)
        told = await until(watch, lambda agent: "the pulse stopped" in agent.cause)
        assert (told.state, told.restarts) == (NOT_SERVING, 0)
        await host.clock.advance(BACK_S)
        told = await until(watch, lambda agent: agent.state == SERVING)
        assert (told.cause, told.restarts) == ("", 1)


async def test_a_watch_tells_the_use_of_memory_while_nothing_happens(tmp_path: Path) -> None:
    """Every five seconds, by the clock of the host."""
    async with overseen(tmp_path) as host:
        watch: Any = host.stub.WatchHost(pb.WatchHostRequest())
        first = await watch.read()
        async with Tasks() as tasks:
            read: list[Any] = []

            async def listen() -> None:
                read.append(await watch.read())

            tasks.spawn("listen", listen())
            await host.clock.advance(USAGE_S_MAX / 2)
            assert read == []
            await host.clock.advance(USAGE_S_MAX)
            while not read:
                await host.clock.advance(0)
        assert read[0].cpu.ToTimedelta() >= first.cpu.ToTimedelta()


async def test_a_watch_ends_with_the_drain_of_the_host(tmp_path: Path) -> None:
    """The last that it says is that the host drains, and it does not hold that up."""
    address, clock = f"unix:{tmp_path}/sock", FakeClock()
    async with asyncio.timeout(10), grpc.aio.insecure_channel(address) as channel:
        stub: Any = rpc.HostServiceStub(channel)
        async with hosting([Placed(Mortal().agent, None)], Place(address, tmp_path, clock, 60.0)):
            watch = stub.WatchHost(pb.WatchHostRequest())
            assert not (await watch.read()).draining
        last = await watch.read()
        assert last.draining
        assert [one.state for one in last.agents] == [DRAINING]
        assert await watch.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("down", "up", "state"),
    [
        (nouns.VERB_SUSPEND, nouns.VERB_RESUME, SUSPENDED),
        (nouns.VERB_STOP, nouns.VERB_START, STOPPED),
    ],
)
async def test_an_agent_that_is_put_down_is_gone_until_it_is_taken_up(
    tmp_path: Path,
    down: nouns.Verb.ValueType,
    up: nouns.Verb.ValueType,
    state: nouns.AgentState.ValueType,
) -> None:
    """What it held is closed and calls are refused with who wanted it and why; then it is built
    again, and the neighbour serves all the time.
    """
    async with overseen(tmp_path) as host:
        done = await host.command(down)
        assert (done.agent.state, done.was_so_already) == (state, False)
        assert done.agent.cause.endswith("by ann: too hungry")
        assert host.mortal.diary == ["built", "closed"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.echo()
        found = failure_of(refused.value)
        assert (found.code, found.reason) == (CODE.UNAVAILABLE, "SUSPENDED")
        assert found.metadata == {"by": "ann", "why": "too hungry"}
        assert await host.state(TOOLBOX) == SERVING
        said = await get(host.http, f"/health/{PROBE}")
        assert said.value["status"] == nouns.AgentState.Name(state).removeprefix("AGENT_STATE_")
        assert (await host.command(down)).was_so_already
        done = await host.command(up)
        assert (done.agent.state, done.agent.restarts) == (SERVING, 1)
        assert (await host.echo()).text == "you"
        assert (await host.command(up)).was_so_already


async def test_a_call_in_progress_may_finish_before_its_agent_is_suspended(tmp_path: Path) -> None:
    """New ones are refused meanwhile, and nothing is closed before the last one has its answer."""
    async with overseen(tmp_path) as host:
        server: Any = None
        servicer = host.mortal.servicers[0]
        hanging = Probed(servicer, server, host.channel).unary("Echo", "hang")
        await servicer.entered.wait()
        command = host.asked(nouns.VERB_SUSPEND)
        while await host.state() != SUSPENDED:
            await host.clock.advance(0)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.echo()
        assert failure_of(refused.value).reason == "SUSPENDED"
        assert host.mortal.diary == ["built"]
        servicer.freed.set()
        assert (await hanging).text == "hang"
        while not command.done():
            await host.clock.advance(0.1)
        assert host.mortal.diary == ["built", "closed"]


async def test_a_call_that_does_not_finish_ends_with_its_agent(tmp_path: Path) -> None:
    """After ten seconds, with the same reason, so that its caller goes elsewhere."""
    async with overseen(tmp_path) as host:
        server: Any = None
        hanging = Probed(host.mortal.servicers[0], server, host.channel).unary("Echo", "hang")
        await host.mortal.servicers[0].entered.wait()
        command = host.asked(nouns.VERB_SUSPEND)
        while not command.done():
            await host.clock.advance(0.1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await hanging
        assert failure_of(refused.value).reason == "SUSPENDED"
        # The clock was moved on also while the command was on the wire.
        assert 9.5 < host.clock.monotonic_s() < 20


async def test_a_stream_without_an_end_does_not_hold_up_its_agent(tmp_path: Path) -> None:
    """It is ended at once, as where a host drains."""
    async with overseen(tmp_path) as host:
        server: Any = None
        tail = Probed(host.mortal.servicers[0], server, host.channel).stream("Tail", "hang")
        assert (await tail.read()).text == "first"
        await host.command(nouns.VERB_SUSPEND)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await tail.read()
        assert failure_of(refused.value).reason == "SUSPENDED"


async def test_a_restart_on_purpose_builds_the_agent_anew(tmp_path: Path) -> None:
    """At once, without a wait, and of a suspended one too."""
    async with overseen(tmp_path) as host:
        done = await host.command(nouns.VERB_RESTART)
        assert (done.agent.state, done.agent.restarts) == (SERVING, 1)
        assert host.mortal.diary == ["built", "closed", "built"]
        await host.command(nouns.VERB_SUSPEND)
        assert (await host.command(nouns.VERB_RESTART)).agent.state == SERVING
        assert (await host.echo()).text == "you"


async def test_an_agent_that_waits_to_be_built_again_can_be_suspended(tmp_path: Path) -> None:
    """It then stays down, and callers hear that and not that it comes back."""
    async with overseen(tmp_path) as host:
        host.mortal.fail()
        await host.clock.advance(0)
        await host.command(nouns.VERB_SUSPEND)
        await host.clock.advance(BACK_S)
        assert host.mortal.diary == ["built", "closed"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.echo()
        assert failure_of(refused.value).reason == "SUSPENDED"


async def test_a_drained_agent_answers_and_is_not_recommended(tmp_path: Path) -> None:
    """Callers are told to go elsewhere until it is returned."""
    async with overseen(tmp_path) as host:
        assert (await host.command(nouns.VERB_DRAIN)).agent.state == DRAINING
        assert (await host.echo()).text == "you"
        await host.clock.advance(BACK_S)
        assert await host.state() == DRAINING
        assert (await host.command(nouns.VERB_RETURN)).agent.state == SERVING
        assert (await host.command(nouns.VERB_RETURN)).was_so_already


async def test_an_unknown_agent_is_refused_with_near_names(tmp_path: Path) -> None:
    """Whoever mistyped it finds the right one."""
    async with overseen(tmp_path) as host:
        found = await host.refused(nouns.VERB_RESTART, "utility-tolbox")
        assert (found.code, found.reason) == (CODE.NOT_FOUND, "AGENT_NOT_ON_HOST")
        assert found.metadata == {"name": "utility-tolbox", "near": TOOLBOX}


async def test_an_agent_that_reaches_into_its_host_stays_with_it(tmp_path: Path) -> None:
    """It cannot be built into the host again, so nothing is done to it."""
    mortal = Mortal()

    async def reach(scope: Scope) -> None:
        scope.serve_also(grpc.method_handlers_generic_handler("other.Service", {}), lambda: None)

    mortal.prepare = reach
    async with overseen(tmp_path, mortal) as host:
        for verb in (nouns.VERB_RESTART, nouns.VERB_STOP, nouns.VERB_SUSPEND):
            found = await host.refused(verb)
            assert (found.code, found.reason) == (CODE.FAILED_PRECONDITION, "AGENT_BOUND_TO_HOST")
            assert "restart the host" in found.message
        assert mortal.diary == ["built"]
        assert await host.state() == SERVING


async def test_a_command_says_what_and_who(tmp_path: Path) -> None:
    """Without a verb, or without a name under which it can be recorded, it is refused."""
    async with overseen(tmp_path) as host:
        found = await host.refused(nouns.VERB_UNSPECIFIED)
        assert (found.code, found.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.stub.CommandAgent(pb.CommandAgentRequest(agent=PROBE, verb=nouns.VERB_STOP))
        assert failure_of(refused.value).reason == "INVALID_REQUEST"
        assert host.mortal.diary == ["built"]


async def until(watch: Any, met: Any) -> Any:
    """The first that is told of the agent which fits."""
    while True:
        told = await watch.read()
        (agent,) = (one for one in told.agents if one.name == PROBE)
        if met(agent):
            return agent
