"""Signals to a command that has something to end."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandemkit.cli import signals
from tandemkit.supervise.processes import Command, Process, supervised_process
from tests.cluster.eventually import eventually

# It says what it is at. What it has to end is over once somebody opens the gate.
_COMMAND = f"""
import asyncio, sys
from {signals.__name__} import Interrupts

async def main():
    interrupts = Interrupts()
    print("works", flush=True)
    await interrupts.until(asyncio.Event().wait())
    print("ends", flush=True)
    await asyncio.to_thread(open, sys.argv[1])
    print("has ended", flush=True)
    if sys.argv[2:]:
        open(sys.argv[2], "w").close()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Told:
    process: Process
    log: Path
    gate: Path

    async def until(self, words: str) -> None:
        async def said() -> str:
            return self.log.read_text()

        await eventually(said, lambda found: found.endswith(f"{words}\n"))


@asynccontextmanager
async def command(folder: Path) -> AsyncIterator[Told]:
    """One that works."""
    log, gate = folder / "log", folder / "gate"
    os.mkfifo(gate)
    variables = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-c", _COMMAND, str(gate))
    async with supervised_process(Command(argv, log, env=variables)) as process:
        told = Told(process, log, gate)
        await told.until("works")
        yield told


async def test_a_terminal_that_goes_twice_is_heard_once(tmp_path: Path) -> None:
    """What began to end is not broken off: a shell that goes along says it again."""
    async with command(tmp_path) as it:
        os.kill(it.process.pid, signal.SIGHUP)
        await it.until("ends")
        os.kill(it.process.pid, signal.SIGHUP)
        it.gate.write_text("")
        await it.until("has ended")


async def test_what_began_to_end_goes_on_without_its_terminal(tmp_path: Path) -> None:
    """Nothing can be said there any more, and nothing fails of it."""
    log, gate, ended = tmp_path / "log", tmp_path / "gate", tmp_path / "ended"
    os.mkfifo(gate)
    variables = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}
    work = shlex.join((sys.executable, "-c", _COMMAND, str(gate), str(ended)))
    # Gives its command a terminal, which goes when it does.
    argv = ("script", "--quiet", "--flush", "--command", f"exec {work}", "/dev/null")

    async def works() -> None:
        assert "works" in log.read_text()

    async def is_there() -> bool:
        return ended.exists()

    async with supervised_process(Command(argv, log, env=variables), ready=works) as process:
        os.kill(process.pid, signal.SIGKILL)
        # For both, so that it waits for no reader.
        with gate.open("rb+", buffering=0):
            await eventually(is_there)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_who_asks_again_is_obeyed_at_once(tmp_path: Path, first: signal.Signals) -> None:
    """Whatever is left behind then."""
    async with command(tmp_path) as it:
        os.kill(it.process.pid, first)
        await it.until("ends")
        os.kill(it.process.pid, signal.SIGTERM)
        assert await it.process.wait() == -signal.SIGTERM
