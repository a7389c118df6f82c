"""The commands in a real terminal: what a person sees, and that they get it back as it was."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.main import main
from tandemkit.testing.machine import FakeMachine, fake_machine, machine_of
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_terminal import Terminal, terminal
from tests.cluster.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.real("tmux")]
AGENTS = [f"utility-agent{number}" for number in range(12)]


@dataclass
class Desk:
    """A person's terminal, beside a machine."""

    terminal: Terminal
    machine: FakeMachine
    home: Path

    async def sees(self, *texts: str) -> list[str]:
        """The screen, once all of them are on it."""

        def has_all(lines: list[str]) -> bool:
            return all(any(text in line for line in lines) for text in texts)

        return await eventually(self.terminal.screen, has_all)

    async def sees_no(self, text: str) -> None:
        await eventually(self.terminal.screen, lambda lines: not any(text in one for one in lines))

    async def finds_it_as_it_was(self) -> None:
        """What stood there before, a cursor, and an echo of what is typed."""

        async def is_back() -> bool:
            return not await self.terminal.shows_alternate() and await self.terminal.shows_cursor()

        assert await eventually(is_back)
        await self.terminal.run(
            "stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e icanon | tr '\\n' ' '"
        )
        await self.sees("before", "icanon echo")


@asynccontextmanager
async def desk(columns: int = 100, lines: int = 30) -> AsyncIterator[Desk]:
    told = machine_of("laptop", control=("control-registry",), agents=AGENTS)
    with short_folder() as folder:
        home = folder / "home"
        home.mkdir()
        variables = {
            "PATH": f"{folder}:{os.defpath}",
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TANDEM_HOME": str(home),
        }
        start = shlex.join((sys.executable, "-c", f"from {main.__module__} import main; main()"))
        (folder / "tandem").write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (folder / "tandem").chmod(0o700)
        async with (
            fake_machine(home, told) as fake,
            terminal(variables, folder, columns=columns, lines=lines) as window,
        ):
            person = Desk(window, fake, home)
            await window.run("echo be''fore")
            await person.sees("before")
            yield person


async def watching(person: Desk) -> None:
    await person.terminal.run("./tandem status --watch; echo ended with $?")
    await person.sees("laptop  SERVING", "q quits")


def break_one(machine: nouns.Machine) -> None:
    machine.hosts[1].state = nouns.HOST_STATE_DEGRADED
    machine.hosts[1].agents[3].state = nouns.AGENT_STATE_NOT_SERVING
    machine.hosts[1].agents[3].cause = "disk full"


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("C-c", 130)], ids=["by q", "by Ctrl-C"])
async def test_watched_status_shows_changes_and_gives_the_terminal_back(
    key: str, status: int
) -> None:
    """Each change is seen at once, without a key; then what was there before is there again."""
    async with desk() as one:
        await watching(one)
        await one.machine.change(break_one)
        await one.sees("NOT ALL SERVING", "disk full")
        await one.terminal.press(key)
        await one.sees(f"ended with {status}")
        await one.finds_it_as_it_was()


async def test_a_terminal_that_is_made_small_is_drawn_anew() -> None:
    """Down to what hardly shows anything, and back."""
    async with desk() as one:
        await watching(one)
        await one.machine.change(break_one)
        await one.terminal.resize(34, 8)
        lines = await one.sees("DEGRADED")
        assert len(lines) <= 8
        await one.sees_no("GRPC")
        await one.terminal.resize(4, 2)
        await one.sees("lap")
        await one.terminal.resize(100, 30)
        await one.sees("GRPC", "disk full", "q quits")


async def test_a_watch_that_is_put_aside_leaves_the_shell_its_terminal() -> None:
    """Ctrl-Z, work, `fg`, and it goes on."""
    async with desk() as one:
        await watching(one)
        await one.terminal.press("C-z")
        await one.sees("before", "Stopped")
        await one.terminal.run("fg; echo ended with $?")
        await one.sees("laptop  SERVING", "q quits")
        await one.terminal.press("q")
        await one.sees("ended with 0")


async def test_a_watch_that_is_killed_politely_gives_the_terminal_back() -> None:
    """Whoever sends SIGTERM from elsewhere does not leave a dead page behind."""
    async with desk() as one:
        await watching(one)
        await one.terminal.press("C-z")
        await one.sees("Stopped")
        await one.terminal.run("kill %1; fg")
        await one.finds_it_as_it_was()


async def test_a_command_that_takes_long_shows_that_it_goes_on() -> None:
    """With what the hosts it concerns are doing; afterwards only the result stands there."""
    async with desk() as one:
        one.machine.free.clear()
        await one.terminal.run("./tandem restart agents")
        await one.sees("restarting agents", "agents SERVING")
        one.machine.free.set()
        await one.sees("restarted: host agents")
        await one.sees_no("restarting")


async def test_logs_are_followed_until_ctrl_c() -> None:
    """New lines come as they are written, and escape sequences in them do nothing."""
    async with desk() as one:
        await one.terminal.run("./tandem logs -f agents; echo ended with $?")
        await one.machine.log("agents", '{"event": "agent.serving", "agent": "a"}')
        await one.sees("agent.serving  agent=a")
        await one.machine.log("agents", "\x1b[2J\x1b[31mred")
        await one.sees(r"\x1b[2J\x1b[31mred", "agent.serving")
        await one.terminal.press("C-c")
        await one.sees("ended with 130")


async def test_bash_completes_what_runs() -> None:
    """Commands, hosts, agents and services of the fleet, by Tab."""
    async with desk() as one:
        await one.terminal.run('eval "$(./tandem completion bash)"')
        await one.terminal.type("./tandem resta")
        await one.terminal.press("Tab")
        await one.sees("./tandem restart")
        await one.terminal.type("utility-agent1")
        await one.terminal.press("Tab", "Tab")
        await one.sees("utility-agent10")
        await one.terminal.press("C-u")
        await one.terminal.type("./tandem call control-reg")
        await one.terminal.press("Tab")
        await one.sees("./tandem call control-registry/")


async def test_bash_completes_where_nothing_runs() -> None:
    """Without an error on the line, and without a wait."""
    async with desk() as one:
        await one.terminal.run(
            'export TANDEM_HOME=/nonexistent; eval "$(./tandem completion bash)"'
        )
        await one.terminal.type("./tandem call x")
        await one.terminal.press("Tab")
        await one.terminal.press("C-u")
        await one.terminal.type("./tandem stat")
        await one.terminal.press("Tab")
        lines = await one.sees("./tandem status")
        assert not any("Error" in line for line in lines)
