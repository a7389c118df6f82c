"""A command at work beside a supervisor on a real socket."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
from click.testing import CliRunner, Result

from tandemkit.testing.machine import FakeMachine, fake_machine, machine_of

AGENTS = ("utility-files", "utility-toolbox")


@asynccontextmanager
async def machine(home: Path) -> AsyncIterator[FakeMachine]:
    told = machine_of("laptop", control=("control-registry",), agents=AGENTS)
    async with fake_machine(home, told) as fake:
        yield fake


async def type_(command: click.Command, *words: str) -> Result:
    """As the entry point calls it: the exit code is what the command returns."""
    invoke = functools.partial(CliRunner().invoke, command, words, standalone_mode=False)
    return await asyncio.to_thread(invoke)
