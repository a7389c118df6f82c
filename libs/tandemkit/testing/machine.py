"""A machine supervisor that starts nothing: it tells of the machine that a test gives it, and does
to that what it is told, on a real socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.core.errors import CallerError
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server

SOCKET = "machine.sock"
_TO_HOST = {
    nouns.VERB_START: nouns.HOST_STATE_SERVING,
    nouns.VERB_STOP: nouns.HOST_STATE_STOPPED,
    nouns.VERB_RESTART: nouns.HOST_STATE_SERVING,
    nouns.VERB_DRAIN: nouns.HOST_STATE_DRAINING,
    nouns.VERB_RETURN: nouns.HOST_STATE_SERVING,
    nouns.VERB_SUSPEND: nouns.HOST_STATE_SUSPENDED,
    nouns.VERB_RESUME: nouns.HOST_STATE_SERVING,
}
_TO_AGENT = {
    nouns.VERB_START: nouns.AGENT_STATE_SERVING,
    nouns.VERB_STOP: nouns.AGENT_STATE_STOPPED,
    nouns.VERB_RESTART: nouns.AGENT_STATE_SERVING,
    nouns.VERB_DRAIN: nouns.AGENT_STATE_DRAINING,
    nouns.VERB_RETURN: nouns.AGENT_STATE_SERVING,
    nouns.VERB_SUSPEND: nouns.AGENT_STATE_SUSPENDED,
    nouns.VERB_RESUME: nouns.AGENT_STATE_SERVING,
}


class FakeMachine:
    """`commands` and `plans` are those that came; while `free` is not set, each command waits.
    `lines` are the log of a host.
    """

    def __init__(self, machine: nouns.Machine) -> None:
        self.machine = machine
        self.commands: list[pb.RunCommandRequest] = []
        self.plans: list[pb.ApplyPlanRequest] = []
        self.recorded: list[pb.RecordCheckpointRequest] = []
        self.lines: dict[str, list[str]] = {}
        self.free = asyncio.Event()
        self.free.set()
        self._changed = asyncio.Condition()

    async def change(self, change: Callable[[nouns.Machine], object]) -> None:
        """Changes the machine, and tells everybody who watches."""
        async with self._changed:
            change(self.machine)
            self._changed.notify_all()

    async def log(self, host: str, *lines: str) -> None:
        """Lines that the host writes now."""
        async with self._changed:
            self.lines.setdefault(host, []).extend(lines)
            self._changed.notify_all()

    async def GetMachine(self, _request: Any, _context: Any) -> pb.GetMachineResponse:
        return pb.GetMachineResponse(machine=self.machine)

    async def WatchMachine(
        self, _request: Any, _context: Any
    ) -> AsyncIterator[pb.WatchMachineResponse]:
        told = b""
        while True:
            response = pb.WatchMachineResponse(machine=self.machine)
            now = response.SerializeToString(deterministic=True)
            if now != told:
                told = now
                yield response
            async with self._changed:
                await self._changed.wait()

    async def ApplyPlan(self, request: pb.ApplyPlanRequest, _context: Any) -> Any:
        self.plans.append(request)

        def obey(machine: nouns.Machine) -> None:
            machine.generation += 1

        await self.change(obey)
        kept = [
            nouns.PlannedChange(host=one.host, deed=nouns.DEED_KEEP) for one in self.machine.hosts
        ]
        return pb.ApplyPlanResponse(generation=self.machine.generation, changes=kept)

    async def ShutDown(self, _request: Any, _context: Any) -> pb.ShutDownResponse:
        def obey(machine: nouns.Machine) -> None:
            for one in machine.hosts:
                one.state = nouns.HOST_STATE_STOPPED

        await self.change(obey)
        return pb.ShutDownResponse()

    async def RunCommand(self, request: pb.RunCommandRequest, _context: Any) -> Any:
        hosts, agents = self._aimed(request.target)
        self.commands.append(request)
        await self.free.wait()
        to_host, to_agent = _TO_HOST[request.verb], _TO_AGENT[request.verb]
        was_so = request.verb != nouns.VERB_RESTART and all(one.state == to_agent for one in agents)

        def obey(_machine: nouns.Machine) -> None:
            for one in hosts:
                one.state = to_host
            for agent in agents:
                agent.state = to_agent

        await self.change(obey)
        return pb.RunCommandResponse(
            hosts=[one.host for one in hosts],
            agents=[one.name for one in agents],
            was_so_already=was_so,
        )

    async def ReadLog(self, request: Any, _context: Any) -> AsyncIterator[pb.ReadLogResponse]:
        hosts, agents = self._aimed(request.target)
        host = hosts[0].host if hosts else self._host_of(agents[0].name)
        # Of an agent come the lines that name it.
        word = "" if hosts else agents[0].name
        written = self.lines.setdefault(host, [])
        before = [line for line in written if word in line]
        lines, told = before[max(0, len(before) - request.lines_max) :], len(written)
        while True:
            if lines:
                yield pb.ReadLogResponse(host=host, lines=lines)
            if not request.follow:
                return
            async with self._changed:
                while len(written) == told:
                    await self._changed.wait()
            lines, told = [line for line in written[told:] if word in line], len(written)

    async def RecordCheckpoint(
        self, request: pb.RecordCheckpointRequest, _context: Any
    ) -> pb.RecordCheckpointResponse:
        self.recorded.append(request)
        return pb.RecordCheckpointResponse()

    def _aimed(self, target: str) -> tuple[list[nouns.HostStanding], list[nouns.AgentStanding]]:
        """A host, a group's hosts, or one agent."""
        hosts = [one for one in self.machine.hosts if target in {one.host, *one.groups}]
        if hosts:
            return hosts, [agent for one in hosts for agent in one.agents]
        agents = [
            one
            for host in self.machine.hosts
            for one in host.agents
            if target in {one.name, one.service}
        ]
        if not agents:
            raise CallerError(errors.ERROR_REASON_TARGET_UNKNOWN, "nothing here has that name")
        return [], agents

    def _host_of(self, agent: str) -> str:
        return next(
            host.host for host in self.machine.hosts for one in host.agents if one.name == agent
        )


@asynccontextmanager
async def fake_machine(home: Path, machine: nouns.Machine) -> AsyncIterator[FakeMachine]:
    """Serves it at the socket of `home`, a folder."""
    async with fake_machine_at(f"unix:{home / SOCKET}", machine) as fake:
        yield fake


@asynccontextmanager
async def fake_machine_at(address: str, machine: nouns.Machine) -> AsyncIterator[FakeMachine]:
    """Serves it there, with everything that the kit puts before it."""
    fake = FakeMachine(machine)
    server = Server()
    server.mount(Contract.of(pb.DESCRIPTOR), fake)
    await server.start(address)
    try:
        yield fake
    finally:
        await server.drain(0)


def machine_of(name: str, **hosts: Iterable[str]) -> nouns.Machine:
    """A machine on which all is well: each host with its agents."""
    machine = nouns.Machine(
        name=name, profile=name, settled=True, generation=1, pid=100, registry="embedded"
    )
    for number, (host, agents) in enumerate(hosts.items()):
        standing = machine.hosts.add(
            host=host, groups=[host], state=nouns.HOST_STATE_SERVING, pid=101 + number, starts=1
        )
        standing.address = f"127.0.0.1:{8200 + number}"
        standing.http_address = f"127.0.0.1:{9100 + number}"
        standing.memory_bytes = 64 * 2**20
        for agent in agents:
            service = "".join(part.capitalize() for part in agent.split("-")[1:])
            full = f"tandem.{agent.partition('-')[0]}.v1.{service}Service"
            standing.agents.add(name=agent, service=full, state=nouns.AGENT_STATE_SERVING)
    return machine
