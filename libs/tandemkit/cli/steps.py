"""Long steps of a command: a live line on a terminal, now and then a plain line elsewhere.

Needs nothing but the standard library, for `./tandem` uses it before there is an environment.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from tandemkit.core.clock import SystemClock
from tandemkit.supervise.processes import Command, ProcessFailure, run_process
from tandemkit.supervise.tasks import Tasks

Progress = Callable[[str], str]

_CLOCK = SystemClock()
_REDRAW_S = 0.1
_PLAIN_S = 20.0
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\033[2K"


class StepFailure(Exception):
    """A step failed; `output` is the end of what it wrote."""

    def __init__(self, step: str, output: str) -> None:
        super().__init__(step)
        self.step = step
        self.output = output

    @property
    def reason(self) -> str:
        """The last line of the output, which with most programs says why."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else "it wrote nothing"


@dataclass(frozen=True, slots=True)
class Step:
    """One program to run. `progress` turns the output so far into a few words."""

    title: str
    argv: tuple[str, ...]
    variables: Mapping[str, str] | None = None
    cwd: Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """`logs` keeps a step's output while it runs. Its child holds `lock` too, should we die."""

    stream: TextIO
    logs: Path
    lock: int | None = None

    def holding(self, lock: int) -> Steps:
        """The same, for steps that go on under `lock`."""
        return replace(self, lock=lock)

    def say(self, sentence: str) -> None:
        self.stream.write(f"tandem: {sentence}\n")
        self.stream.flush()

    async def run(self, step: Step) -> str:
        """Runs it to its end and returns the end of its output; StepFailure where it fails."""
        started_s = _CLOCK.monotonic_s()
        held = () if self.lock is None else (self.lock,)
        with tempfile.TemporaryDirectory(dir=self.logs, prefix="step-") as folder:
            log = Path(folder, "log")
            command = Command(step.argv, log, step.cwd, step.variables, keeps_open=held)
            failure = await self._watched(step, command)
            output = command.log_tail()
        if failure:
            raise failure
        self.say(f"{step.title}: {_CLOCK.monotonic_s() - started_s:.1f} s")
        return output

    async def _watched(self, step: Step, command: Command) -> StepFailure | None:
        # Returned, not raised: out of the tasks' scope it would come as a group of one.
        live = self.stream.isatty()
        try:
            async with Tasks() as tasks:
                tasks.spawn(
                    "progress", self._redraw(step, command) if live else self._repeat(step, command)
                )
                try:
                    status = await run_process(command)
                except ProcessFailure as failure:
                    return StepFailure(step.title, f"{failure}: {failure.__cause__}")
        finally:
            if live:
                self.stream.write(_CLEAR_LINE)
        return StepFailure(step.title, command.log_tail()) if status else None

    async def _redraw(self, step: Step, command: Command) -> None:
        started_s = _CLOCK.monotonic_s()
        while True:
            passed_s = _CLOCK.monotonic_s() - started_s
            frame = _FRAMES[int(passed_s / _REDRAW_S) % len(_FRAMES)]
            line = f"tandem: {frame} {step.title} … {_told(step, command)}{passed_s:.0f} s"
            self.stream.write(f"{_CLEAR_LINE}{line}")
            self.stream.flush()
            await _CLOCK.sleep(_REDRAW_S)

    async def _repeat(self, step: Step, command: Command) -> None:
        started_s = _CLOCK.monotonic_s()
        while True:
            await _CLOCK.sleep(_PLAIN_S)
            passed_s = _CLOCK.monotonic_s() - started_s
            self.say(f"{step.title} … {_told(step, command)}{passed_s:.0f} s")


def _told(step: Step, command: Command) -> str:
    if step.progress is None:
        return ""
    return f"{step.progress(command.log_path.read_text(errors='replace'))}, "
