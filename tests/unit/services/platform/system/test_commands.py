"""A command is recorded before and behind what it does, wherever the agent dies in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.message import Message

from services.platform.system import commands as module
from services.platform.system.commands import Commands
from services.platform.system.machines import Machines
from tandem.control.v1 import machine_pb2 as control
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.core.errors import TransientError
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.system.machines import command


class Notebook:
    """Keeps events by their ids, until its disk is full."""

    def __init__(self) -> None:
        self.kept: dict[str, pb.SystemCommand] = {}
        self.room = 100

    async def keep(self, content: Message, event_id: str) -> None:
        if self.room <= len(self.kept):
            raise Unreachable("the disk refused to keep an event")
        assert isinstance(content, pb.SystemCommand)
        copy = pb.SystemCommand()
        copy.CopyFrom(content)
        assert self.kept.setdefault(event_id, copy) == copy


class OneMachine:
    """A fleet of one machine, which notes what is done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def machines(self) -> Mapping[str, bool]:
        return {"mainpc": True}

    async def look(self, machine: str) -> control.Machine:
        return control.Machine(name=machine)

    async def command(self, machine: str, request: pb.RunCommandRequest) -> pb.MachineOutcome:
        if request.request_id not in self.done:
            self.done.append(request.request_id)
        return pb.MachineOutcome(machine=machine, agents=[request.target])


@asynccontextmanager
async def life(
    folder: Path, machine: OneMachine, notebook: Notebook, clock: FakeClock
) -> AsyncIterator[Commands]:
    """One life of the agent; the same folder again is the next one."""
    async with sqlite_state(folder / "state.sqlite") as store:
        made = Commands(Machines(machine), State(store), notebook, clock)
        await made.begin()
        try:
            yield made
        finally:
            await made.end()


def steps(notebook: Notebook) -> list[str]:
    return [event_id.rpartition("/")[2] for event_id in notebook.kept]


async def test_nothing_is_done_that_cannot_be_recorded(tmp_path: Path) -> None:
    """And what was not done can be asked for again."""
    machine, notebook, clock = OneMachine(), Notebook(), FakeClock()
    async with life(tmp_path, machine, notebook, clock) as commands:
        notebook.room = 0
        with pytest.raises(TransientError, match="send the same command again"):
            await commands.run(command("stop", "text-tell"), "peer")
        assert machine.done == []
        notebook.room = 100
        done = await commands.run(command("stop", "text-tell"), "peer")
        assert not done.repeated_answer
        assert steps(notebook) == ["begun", "ended"]


async def test_an_outcome_that_was_not_recorded_is_recorded_by_the_next_life(
    tmp_path: Path,
) -> None:
    """Once, and the command is not done again."""
    machine, notebook, clock = OneMachine(), Notebook(), FakeClock()
    notebook.room = 1
    async with life(tmp_path, machine, notebook, clock) as commands:
        with pytest.raises(TransientError):
            await commands.run(command("stop", "text-tell"), "peer")
    notebook.room = 100
    async with life(tmp_path, machine, notebook, clock) as commands:
        assert steps(notebook) == ["begun", "ended"]
        assert (await commands.run(command("stop", "text-tell"), "peer")).repeated_answer
    async with life(tmp_path, machine, notebook, clock):
        assert steps(notebook) == ["begun", "ended"]
    assert machine.done == ["one"]


async def test_a_command_whose_agent_died_in_between_is_recorded_as_one(tmp_path: Path) -> None:
    """Sent again it begins where it was: one beginning, one end."""
    machine, notebook, clock = OneMachine(), Notebook(), FakeClock()
    begun = pb.SystemCommand(request=command("stop", "text-tell"), peer="peer")
    begun.begin_time.FromDatetime(clock.now())
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        await State(store).put("commands/one", begun)
    await clock.advance(60)
    async with life(tmp_path, machine, notebook, clock) as commands:
        assert not (await commands.run(command("stop", "text-tell"), "another")).repeated_answer
        assert steps(notebook) == ["begun", "ended"]
        first, last = notebook.kept.values()
        assert first == begun
        assert (last.end_time.seconds - last.begin_time.seconds, last.peer) == (60, "peer")


async def test_only_the_latest_commands_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that runs for years does not fill its disk with what nobody will send again."""
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    machine, notebook, clock = OneMachine(), Notebook(), FakeClock()
    async with life(tmp_path, machine, notebook, clock) as commands:
        for name in ("c", "b", "a"):
            await commands.run(command("stop", "text-tell", name), "peer")
            await clock.advance(1)
    async with life(tmp_path, machine, notebook, clock) as commands:
        repeated = {
            name: (await commands.run(command("stop", "text-tell", name), "peer")).repeated_answer
            for name in ("c", "b", "a")
        }
    assert repeated == {"c": False, "b": True, "a": True}
