"""Operating-system processes with an owner: none outlives it, and none fails without saying why."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import Failure
from tandemkit.supervise.children import Child, ChildFailure, Life, Restart
from tandemkit.supervise.orphans import LastWill
from tandemkit.supervise.reports import Exited
from tandemkit.supervise.spawned import Spawned

Ready = Callable[[], Awaitable[None]]

_TAIL_BYTES = 4096
_READY_POLL_S = 0.05
# For the kernel to end a group that was killed.
_KILL_S_MAX = 5.0
_CLOCK = SystemClock()
_WILL = LastWill()


class ProcessFailure(Failure):
    """A process could not start, or was not ready in time; the metadata quotes its log."""


class ProcessEnded(ProcessFailure, ChildFailure):
    """A process ended by itself before it was ready, or as it should not."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. Both streams of output go to `log_path`; `None` as `env` hands on our own.

    On the way out the whole process group gets SIGTERM, and SIGKILL after `grace_s`. `keeps_open`
    are file descriptors that the process inherits, such as a lock that must last as long.
    """

    argv: tuple[str, ...]
    log_path: Path
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    grace_s: float = 5.0
    keeps_open: tuple[int, ...] = ()

    def log_tail(self, since: int = 0) -> str:
        """The last lines that it wrote, from the byte `since` on; empty where there are none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(since, log.tell() - _TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""


class Process:
    """A running process of `supervised_process`, whose exit also stops it."""

    def __init__(self, command: Command, process: Spawned, log_began: int = 0) -> None:
        self.command = command
        self._process, self._log_began = process, log_began

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._process.returncode

    def log_tail(self) -> str:
        """The last lines that this run of it wrote."""
        return self.command.log_tail(self._log_began)

    async def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        return await self._process.wait()

    def kill(self) -> None:
        """Ends the group at once, without a question. Harmless when it has ended."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ends the group: asks first, insists after the grace. Harmless when it has ended."""
        self._signal(signal.SIGTERM)
        # One that was frozen could not hear it.
        self._signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(self.command.grace_s):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()
        finally:
            # Whatever the leader left behind in its group goes too.
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@contextlib.asynccontextmanager
async def supervised_process(
    command: Command,
    *,
    ready: Ready | None = None,
    ready_within_s: float = 30.0,
    clock: Clock = _CLOCK,
) -> AsyncIterator[Process]:
    """The process, from when `ready` stops raising until the block is left.

    Raises ProcessFailure where it cannot start, ends early, or is not ready in time.
    """
    process = _start(command)
    _WILL.add(process.pid)
    try:
        if ready is not None:
            await _until_ready(process, ready, clock.monotonic_s() + ready_within_s, clock)
        yield process
    finally:
        # A second cancellation must not leave the group behind.
        await asyncio.shield(_end(process))


async def run_process(command: Command) -> int:
    """Runs it to its end and returns its exit status; cancelling ends it."""
    async with supervised_process(command) as process:
        return await process.wait()


def process(
    name: str,
    command: Command,
    restart: Restart = Restart.ALWAYS,
    *,
    ready: Ready | None = None,
    ready_within_s: float = 30.0,
) -> Child:
    """A child that runs `command`. It is ready when `ready` stops raising, and has failed when it
    ends with another status than 0. Stopped, all of its group is gone soon after its grace.
    """

    async def run(life: Life) -> None:
        running: Process | None = None
        started = supervised_process(command, ready=ready, ready_within_s=ready_within_s)
        try:
            async with started as running:
                life.ready()
                if await running.wait():
                    raise _ended("process ended", running)
        except asyncio.CancelledError as error:
            if running is not None and running.exit_status == -signal.SIGKILL:
                # Not as it should be, so the record says it.
                raise _ended("process had to be killed", running) from error
            raise

    grace_s = command.grace_s + _KILL_S_MAX
    return Child(name, run, restart, grace_s, ready_within_s + _KILL_S_MAX)


async def _end(process: Process) -> None:
    try:
        await process.stop()
    finally:
        await _WILL.discard(process.pid)


def _start(command: Command) -> Process:
    program = command.argv[0]
    if shutil.which(program) is None:
        raise ProcessFailure("process could not start: no such program", program=program)
    # A log is its owner's: what programs say is not for other users of the machine.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with os.fdopen(os.open(command.log_path, flags, 0o600), "ab") as log:
        try:
            began = log.tell()
            process = subprocess.Popen(
                _tethered(command.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command.cwd,
                env=command.env,
                start_new_session=True,
                pass_fds=command.keeps_open,
            )
        except OSError as error:
            raise ProcessFailure("process could not start", program=program) from error
    return Process(command, Spawned(process), began)


def _tethered(argv: tuple[str, ...]) -> tuple[str, ...]:
    # The kernel ends the process if we are killed: on Linux, where setpriv is at hand.
    setpriv = _found("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--", *argv) if setpriv else argv


@functools.cache
def _found(program: str) -> str | None:
    return shutil.which(program)


async def _until_ready(process: Process, ready: Ready, deadline_s: float, clock: Clock) -> None:
    while True:
        if process.exit_status is not None:
            raise _ended("process ended before it was ready", process)
        try:
            await ready()
        except Exception as error:
            if clock.monotonic_s() >= deadline_s:
                raise ProcessFailure("process not ready in time", **_evidence(process)) from error
            await clock.sleep(_READY_POLL_S)
        else:
            return


def _ended(message: str, process: Process) -> ProcessEnded:
    cause = Exited.of(process.exit_status or 0, process.log_tail())
    return ProcessEnded(message, cause, **_evidence(process))


def _evidence(process: Process) -> dict[str, object]:
    return {
        "program": process.command.argv[0],
        "exit_status": process.exit_status,
        "log": process.command.log_path,
        "log_tail": process.log_tail(),
    }
