"""A machine supervisor that starts nothing: it tells of the machine that a test gives it, and does
to that what it is told, on a real socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server

SOCKET = "machine.sock"


class FakeMachine:
    """`plans` are those that came."""

    def __init__(self, machine: nouns.Machine) -> None:
        self.machine = machine
        self.plans: list[pb.ApplyPlanRequest] = []
        self._changed = asyncio.Condition()

    async def change(self, change: Callable[[nouns.Machine], object]) -> None:
        """Changes the machine, and tells everybody who watches."""
        async with self._changed:
            change(self.machine)
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
