"""Machines that a test makes up: each does what it is told, at once, and remembers it."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from services.platform.system.agent import AGENT, StubbedSupervisors
from services.platform.system.commands import Commands
from services.platform.system.machines import Machines
from services.platform.system.recent import Recent
from services.platform.system.servicer import System
from tandem.control.v1 import errors_pb2 as control_errors
from tandem.control.v1 import fleet_status_service_pb2 as fleet
from tandem.control.v1 import fleet_status_service_pb2_grpc as fleet_rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as machine
from tandem.control.v1 import machine_service_pb2_grpc as machine_rpc
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import system_service_pb2 as pb
from tandem.platform.v1 import system_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.projection import Projection
from tandemkit.hosting.recording import recording
from tandemkit.hosting.scope import Scope
from tandemkit.testing.agents import fake_agent, serving

SUPERVISOR = "tandem.control.v1.MachineService"
_SERVING = nouns.AGENT_STATE_SERVING
_AFTER = {
    nouns.VERB_STOP: nouns.AGENT_STATE_STOPPED,
    nouns.VERB_SUSPEND: nouns.AGENT_STATE_SUSPENDED,
    nouns.VERB_DRAIN: nouns.AGENT_STATE_DRAINING,
}


@dataclass
class FakeMachine:
    """A machine and its supervisor. `hosts` are agents by host; a group is called as its host."""

    name: str
    hosts: dict[str, list[str]]
    is_supervised: bool = True
    refusal: CallerError | None = None
    states: dict[str, nouns.AgentState.ValueType] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    done: list[machine.RunCommandRequest] = field(default_factory=list)
    # What its answers wait for.
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answering.set()

    def standing(self) -> nouns.Machine:
        found = nouns.Machine(name=self.name)
        for host, agents in self.hosts.items():
            told = found.hosts.add(host=host, groups=[host], state=nouns.HOST_STATE_SERVING)
            for agent in agents:
                state = self.states.get(agent, _SERVING)
                told.agents.add(name=agent, state=state, restarts=self.restarts.get(agent, 0))
        return found

    def run(self, request: machine.RunCommandRequest) -> machine.RunCommandResponse:
        if self.refusal is not None:
            raise self.refusal
        agents = list(self._meant(request.target))
        if all(one.request_id != request.request_id for one in self.done):
            self.done.append(request)
            for agent in agents:
                self.states[agent] = _AFTER.get(request.verb, _SERVING)
                if request.verb == nouns.VERB_RESTART:
                    self.restarts[agent] = self.restarts.get(agent, 0) + 1
        hosts = [host for host, here in self.hosts.items() if set(here) & set(agents)]
        return machine.RunCommandResponse(hosts=hosts, agents=agents)

    def _meant(self, target: str) -> Iterator[str]:
        known = {one: [one] for agents in self.hosts.values() for one in agents} | self.hosts
        if target not in known:
            near = ", ".join(difflib.get_close_matches(target, known))
            reason = control_errors.ERROR_REASON_TARGET_UNKNOWN
            raise CallerError(reason, "there is no such target", name=target, near=near)
        yield from known[target]


class FakeFleet:
    """Several machines behind one server, each by the name of its supervisor's instance."""

    def __init__(self, *machines: FakeMachine) -> None:
        self.machines = {one.name: one for one in machines}
        self.is_known = True

    def agents(self) -> tuple[Agent, Agent]:
        """Stand-ins for the two agents that are asked."""
        return (
            fake_agent(
                machine.DESCRIPTOR, GetMachine=self._get_machine, RunCommand=self._run_command
            ),
            fake_agent(fleet.DESCRIPTOR, ListAgents=self._list_agents),
        )

    async def _get_machine(
        self, _request: machine.GetMachineRequest, context: Any
    ) -> machine.GetMachineResponse:
        return machine.GetMachineResponse(machine=(await self._asked(context)).standing())

    async def _run_command(
        self, request: machine.RunCommandRequest, context: Any
    ) -> machine.RunCommandResponse:
        return (await self._asked(context)).run(request)

    async def _list_agents(
        self, _request: fleet.ListAgentsRequest, context: Any
    ) -> fleet.ListAgentsResponse:
        if not self.is_known:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "control is away")
        answer = fleet.ListAgentsResponse()
        supervisors = answer.agents.add(service=SUPERVISOR)
        others = answer.agents.add(service="tandem.utility.v1.FilesService")
        for one in self.machines.values():
            others.instances.add(machine=one.name, instance="utility-files")
            if one.is_supervised:
                instance = f"control-machine-{one.name}"
                supervisors.instances.add(machine=one.name, instance=instance)
        return answer

    async def _asked(self, context: Any) -> FakeMachine:
        headers = dict(context.invocation_metadata())
        found = self.machines[headers["x-tandem-instance"].removeprefix("control-machine-")]
        await found.answering.wait()
        return found


@asynccontextmanager
async def commanding(
    fakes: FakeFleet, folder: Path, events: grpc.aio.Channel
) -> AsyncIterator[Any]:
    """A stub of the agent in front of these machines, which it reaches on one channel and not by a
    mesh; the same folder again is a restart.
    """
    first, *others = fakes.agents()
    async with serving(first, beside=others, state_dir=folder / "fake") as channel:
        supervisors = StubbedSupervisors(
            machine_rpc.MachineServiceStub(channel), fleet_rpc.FleetStatusServiceStub(channel)
        )

        @asynccontextmanager
        async def build(scope: Scope, _settings: None) -> AsyncIterator[System]:
            state, outbox = await scope.state(), scope.state_dir / "outbox"
            store: Any = events_rpc.EventStoreServiceStub(events)
            recent = Projection(store, "commands", Recent(), Recent.heard, scope.clock)
            scope.spawn("recent", recent.keep())
            async with recording(outbox, "commands", store, scope.clock) as recorder:
                machines = Machines(supervisors)
                commands = Commands(machines, state, recorder, scope.clock)
                await commands.begin()
                try:
                    yield System(machines, commands, recent)
                finally:
                    await commands.end()

        agent = Agent(contract=AGENT.contract, build=build)
        async with serving(agent, state_dir=folder / "system") as own:
            yield rpc.SystemServiceStub(own)


def command(verb: str, target: str, request_id: str = "one", **more: Any) -> pb.RunCommandRequest:
    said = {"author": "ann", "reason": "trying", **more}
    found = pb.SystemVerb.Value(f"SYSTEM_VERB_{verb.upper()}")
    return pb.RunCommandRequest(request_id=request_id, verb=found, target=target, **said)
