"""A machine of hosts that only wait, and somebody who commands it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from tandem.control.v1 import machine_event_pb2 as events
from tandem.control.v1 import machine_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.core.errors import Failure
from tandemkit.machine.commands import Command, Commands, Done
from tandemkit.machine.noting import Notes
from tandemkit.reach.failure import Unreachable
from tandemkit.supervise.errands import Errands
from tests.unit.tandemkit.machine.crew import CLOCK, Machine, machine, plan_of, wanted_of

NOTE = policy.ChangeNote(author="ann", reason="a test")
PLAN = plan_of({}, {"agents": ["text-tell", "text-sum"], "files": ["utility-files"]})


class Notebook:
    """Keeps events, unless its disk is full."""

    def __init__(self) -> None:
        self.events: list[events.MachineEvent] = []
        self.is_full = False

    def note(self, content: Message) -> None:
        assert isinstance(content, events.MachineEvent)
        self.events.append(content)

    async def keep(self, content: Message) -> None:
        if self.is_full:
            raise Unreachable("the disk refused to keep an event")
        self.note(content)

    def said(self) -> list[str | None]:
        return [one.WhichOneof("what") for one in self.events]


class FakeHosts:
    """Takes note of what each host is asked for, and refuses what a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, pb.Verb.ValueType]] = []
        self.was_so = False
        self.refusal: Failure | None = None

    async def command(self, address: str, agent: str, command: Command) -> bool:
        self.asked.append((address, agent, command.verb))
        if self.refusal is not None:
            raise self.refusal
        return self.was_so


@dataclass(frozen=True)
class Begun:
    """Whoever waits for a command, and what it came to."""

    caller: asyncio.Task[None]
    outcome: asyncio.Future[Done]


@dataclass
class Commanded:
    """One life of a supervisor that is commanded."""

    machine: Machine
    commands: Commands
    hosts: FakeHosts
    notebook: Notebook
    errands: Errands

    async def run(self, verb: str, target: str, request_id: str = "") -> Done:
        found = pb.Verb.Value(f"VERB_{verb.upper()}")
        return await self.commands.run(Command(found, target, NOTE, request_id, "peer"))

    def begun(self, verb: str, target: str, request_id: str = "") -> Begun:
        """The command, as it goes on."""
        outcome: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            outcome.set_result(await self.run(verb, target, request_id))

        return Begun(self.errands.start(run()), outcome)

    def address(self, host: str) -> str:
        return self.machine.host(host).address


@asynccontextmanager
async def commanded(folder: Path) -> AsyncIterator[Commanded]:
    """All of its hosts serve."""
    async with machine(folder) as one:
        one.foreman.begin(one.home.wanted or wanted_of(PLAN))
        hosts, notebook = FakeHosts(), Notebook()
        notes = Notes(notebook, "laptop", CLOCK)
        commands, errands = Commands(one.foreman, hosts, notes, one.news), Errands()
        for host in ("control", "agents", "files"):
            if one.state(host) != pb.HOST_STATE_STOPPED:
                await one.serve(host)
        try:
            yield Commanded(one, commands, hosts, notebook, errands)
        finally:
            await errands.end(grace_s=0)
            await commands.end()
