"""What a supervisor says of itself every second."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandemkit.machine.home import Home
from tandemkit.machine.upkeep import Upkeep
from tandemkit.supervise.detached import Program
from tandemkit.supervise.marks import Mark
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock


class NoHosts:
    def __init__(self) -> None:
        self.is_over = False


@asynccontextmanager
async def upkeep(home: Home, crew: NoHosts, clock: FakeClock) -> AsyncIterator[Mark]:
    """Of this process, whose keeper would only wait."""
    home.prepare()
    mark = Mark.of(os.getpid())
    assert mark is not None
    waits = Program((sys.executable, "-c", "import signal; signal.pause()"), home.log, {})
    made = Upkeep(home, mark, waits, crew)
    async with Tasks() as tasks:
        tasks.spawn("upkeep", made.run(clock))
        await clock.advance(0)
        try:
            yield mark
        finally:
            made.dismiss()


async def test_a_supervisor_says_again_who_it_is(tmp_path: Path) -> None:
    """Whoever took the file away did not end it."""
    home, clock = Home(tmp_path), FakeClock()
    async with upkeep(home, NoHosts(), clock) as mark:
        (home.run / "supervisor").unlink()
        await clock.advance(1)
        assert home.supervisor == mark


async def test_a_home_that_forgot_its_fleet_names_nobody_again(tmp_path: Path) -> None:
    """`down` waits until it names no supervisor, however the seconds fall."""
    home, clock, crew = Home(tmp_path), FakeClock(), NoHosts()
    async with upkeep(home, crew, clock) as mark:
        assert home.supervisor == mark
        crew.is_over = True
        home.forget()
        await clock.advance(3)
        assert home.supervisor is None
