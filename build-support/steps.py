"""What set-up is doing: a live line on a terminal, a plain line for each step elsewhere."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from diagnosis import SetupFailure

from tandemkit.core.clock import SystemClock
from tandemkit.supervise.processes import Command, ProcessFailure, run_process
from tandemkit.supervise.tasks import Tasks

_CLOCK = SystemClock()
_REDRAW_S = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\033[2K"


class Steps:
    """`logs` is where a step's output is kept while it runs; its child holds `lock` as well."""

    def __init__(self, stream: TextIO, logs: Path, lock: int | None = None) -> None:
        self._stream = stream
        self._logs = logs
        self._held = () if lock is None else (lock,)

    def holding(self, lock: int) -> "Steps":
        """The same, for work that goes on under `lock`: an orphan of ours then keeps it."""
        return Steps(self._stream, self._logs, lock)

    def say(self, sentence: str) -> None:
        self._stream.write(f"tandem: {sentence}\n")
        self._stream.flush()

    async def run(
        self, step: str, argv: tuple[str, ...], variables: Mapping[str, str] | None = None
    ) -> None:
        """Runs one step to its end; SetupFailure, with what it wrote, where it fails."""
        started_s = _CLOCK.monotonic_s()
        with tempfile.TemporaryDirectory(dir=self._logs, prefix="step-") as folder:
            command = Command(argv, Path(folder, "log"), env=variables, keeps_open=self._held)
            failure = await self._watched(step, command)
        if failure:
            raise failure
        self.say(f"{step}: {_CLOCK.monotonic_s() - started_s:.1f} s")

    async def _watched(self, step: str, command: Command) -> SetupFailure | None:
        # Returned, not raised: out of the tasks' scope it would come as a group of one.
        async with Tasks() as tasks:
            if self._stream.isatty():
                tasks.spawn("progress", self._redraw(step))
            try:
                status = await run_process(command)
            except ProcessFailure as failure:
                return SetupFailure(step, f"{failure}: {failure.__cause__}")
        if self._stream.isatty():
            self._stream.write(_CLEAR_LINE)
        return SetupFailure(step, command.log_tail()) if status else None

    async def _redraw(self, step: str) -> None:
        started_s = _CLOCK.monotonic_s()
        while True:
            passed_s = _CLOCK.monotonic_s() - started_s
            frame = _FRAMES[int(passed_s / _REDRAW_S) % len(_FRAMES)]
            self._stream.write(f"{_CLEAR_LINE}tandem: {frame} {step} … {passed_s:.0f} s")
            self._stream.flush()
            await _CLOCK.sleep(_REDRAW_S)
