from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.control.machine import agent as supervising
from services.control.machine.agent import AGENT
from services.control.machine.servicer import Supervision
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Bug
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.machine.commands import Commands
from tandemkit.machine.noting import Notes
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.server import Server
from tandemkit.testing.imports import loaded_by
from tandemkit.testing.parts import short_folder
from tests.unit.tandemkit.machine.commanded import FakeHosts, Notebook
from tests.unit.tandemkit.machine.crew import CLOCK, Machine, machine, plan_of, wanted_of

NOTE = policy.ChangeNote(author="ann", reason="a test")
PLAN = plan_of({}, {"agents": ["text-tell"]})


@asynccontextmanager
async def supervisor(folder: Path) -> AsyncIterator[tuple[Machine, Any]]:
    """One that supervises, and a stub that reaches it on its socket."""
    async with machine(folder) as one:
        one.foreman.begin(wanted_of(PLAN))
        server = Server()
        notes = Notes(Notebook(), "laptop", CLOCK)
        commands = Commands(one.foreman, FakeHosts(), notes, one.news)
        server.mount(AGENT.promise, Supervision(one.foreman, commands, notes, one.home.logs, CLOCK))
        await server.start(f"unix:{folder}/machine.sock")
        try:
            async with grpc.aio.insecure_channel(f"unix:{folder}/machine.sock") as channel:
                yield one, rpc.MachineServiceStub(channel)
        finally:
            await server.drain(0)


async def test_a_watcher_sees_each_layer_come_up() -> None:
    """From the first host that starts to a machine that is settled, and then its end."""
    with short_folder() as folder:
        async with supervisor(folder) as (one, stub):
            seen: list[nouns.Machine] = []
            async for told in stub.WatchMachine(pb.WatchMachineRequest()):
                seen.append(told.machine)
                states = {host.host: host.state for host in told.machine.hosts}
                if states["control"] == nouns.HOST_STATE_STARTING and one.host("control").pid:
                    await one.serve("control")
                if states["agents"] == nouns.HOST_STATE_STARTING and one.host("agents").pid:
                    await one.serve("agents")
                if told.machine.settled:
                    await stub.ShutDown(pb.ShutDownRequest(note=NOTE))
            assert seen[0].layer == 0
            assert any(machine.settled and machine.layer == 2 for machine in seen)
            assert seen[-1].ending


async def test_a_plan_without_this_machine_is_refused_with_its_reason() -> None:
    """What runs goes on, and the caller is told which machines the plan has."""
    other = plan_of()
    other.machines[0].name = "mainpc"
    with short_folder() as folder:
        async with supervisor(folder) as (one, stub):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ApplyPlan(pb.ApplyPlanRequest(plan=other, note=NOTE))
            found = RemoteFailure.of(caught.value)
            assert found.code is grpc.StatusCode.INVALID_ARGUMENT
            assert found.reason == "PLAN_REFUSED"
            assert one.foreman.machine().generation == 1


async def test_a_plan_is_answered_with_what_it_will_do() -> None:
    """At once, while the hosts are still on their way."""
    with short_folder() as folder:
        async with supervisor(folder) as (_, stub):
            request = pb.ApplyPlanRequest(plan=plan_of({}, {"new": ["text-new"]}), note=NOTE)
            told = await stub.ApplyPlan(request, timeout=5)
            deeds = {change.host: change.deed for change in told.changes}
            assert deeds["new"] == nouns.DEED_START
            assert deeds["agents"] == nouns.DEED_STOP
            assert told.generation == 2
            found = await stub.GetMachine(pb.GetMachineRequest())
            assert found.machine.generation == 2
            hosts = {host.name for host in found.plan.machines[0].hosts}
            assert "new" in hosts
            assert "agents" not in hosts


async def test_the_log_of_a_host_is_read_and_followed() -> None:
    """Of an agent the lines that name it, of a host all; a target that is none is near another."""
    with short_folder() as folder:
        async with supervisor(folder) as (one, stub):
            log = one.home.logs / "agents.log"
            log.write_text('{"event": "a"}\n{"event": "b", "agent": "text-tell"}\n')
            asked = pb.ReadLogRequest(target="text-tell", lines_max=10, follow=True)
            call = stub.ReadLog(asked)
            first = await call.read()
            assert (first.host, list(first.lines)) == ("agents", [log.read_text().split("\n")[1]])
            with log.open("a") as file:
                file.write('{"event": "c"}\n{"rpc": "/tandem.text.v1.TellService/Tell"}\n')
            assert "TellService" in (await call.read()).lines[0]
            call.cancel()
            asked = pb.ReadLogRequest(target="agents", lines_max=2)
            lines = [line async for told in stub.ReadLog(asked) for line in told.lines]
            assert len(lines) == 2
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ReadLog(pb.ReadLogRequest(target="agnts")).read()
            assert RemoteFailure.of(caught.value).reason == "TARGET_UNKNOWN"


async def test_a_process_that_was_not_started_as_a_supervisor_says_so(tmp_path: Path) -> None:
    """Two that supervise one home would fight over its hosts."""
    settings = AGENT.settings(home=str(tmp_path)) if AGENT.settings else None
    place = Place("127.0.0.1:0", tmp_path, SystemClock())
    with pytest.raises(Bug, match="no supervisor"):
        async with hosting((Placed(AGENT, settings),), place):
            pass


def test_a_supervisor_without_a_vault_has_no_http_client() -> None:
    """3 MB of every laptop's."""
    assert "aiohttp" not in loaded_by(supervising)
