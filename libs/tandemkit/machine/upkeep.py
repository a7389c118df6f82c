"""What the supervisor of a machine does every second: it says that it runs, and looks at whatever
would not say so itself when it no longer does.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tandemkit.core.clock import Clock, until_next_s
from tandemkit.machine.home import Home
from tandemkit.supervise import keeper
from tandemkit.supervise.detached import Detached, Program
from tandemkit.supervise.marks import Mark

_LOOK_S = 1.0
LOG_BYTES_MAX = 16 * 1024 * 1024
_ROTATE_LOOKS = 30


class Crew(Protocol):
    """What there is to be kept."""

    @property
    def is_over(self) -> bool:
        """Whether the home has forgotten the fleet."""


class Upkeep:
    """`program` is this supervisor: the keeper is told how to start it."""

    def __init__(self, home: Home, mark: Mark, program: Program, crew: Crew) -> None:
        self._home, self._mark, self._program, self._crew = home, mark, program, crew
        self._keeper: Detached | None = None
        self._is_dismissed = False

    async def run(self, clock: Clock) -> None:
        """Until cancelled; the keeper goes on."""
        looks = 0
        try:
            while not self._is_dismissed:
                self._home.beat()
                # A home that has forgotten its fleet would else name a supervisor again, which
                # `down` would wait for.
                if not self._crew.is_over and self._home.supervisor != self._mark:
                    self._home.say_supervisor(self._mark)
                self._see_to_keeper()
                if looks % _ROTATE_LOOKS == 0:
                    rotate(self._home.logs)
                looks += 1
                await clock.sleep(until_next_s(clock, _LOOK_S))
        finally:
            if self._keeper is not None:
                self._keeper.let_go()

    def dismiss(self) -> None:
        """There is nothing to keep any more."""
        self._is_dismissed = True
        if self._keeper is not None:
            self._keeper.signal(signal.SIGKILL)

    def _see_to_keeper(self) -> None:
        if self._keeper is None or self._keeper.has_ended:
            mark = self._home.keeper
            self._keeper = Detached.found(mark) if mark else None
            if self._keeper is None:
                self._keeper = Detached.started(self._keeping)
            return
        found = self._keeper.mark.look()
        if found is not None and found.is_frozen:
            # The next look starts another one.
            self._keeper.signal(signal.SIGKILL)

    @property
    def _keeping(self) -> Program:
        script = str(Path(keeper.__file__))
        bare = (sys.executable, "-I", "-S", script, str(self._home.run), str(self._home.log))
        return Program((*bare, *self._program.argv), self._home.log, self._program.environment)


def rotate(folder: Path) -> None:
    """Each log that has grown too large becomes the one before, whose own predecessor goes: two
    files for each host, however long it runs. Who writes meanwhile goes on in the same file, so a
    line that falls between the copy and the cut is lost. One that a full disk has no second room
    for stays as it is.
    """
    for log in folder.glob("*.log"):
        before = log.with_suffix(".log.1")
        with suppress(FileNotFoundError):
            if log.stat().st_size > LOG_BYTES_MAX:
                try:
                    before.write_bytes(log.read_bytes())
                except OSError:
                    before.unlink(missing_ok=True)
                    continue
                with log.open("r+b") as file:
                    file.truncate(0)
