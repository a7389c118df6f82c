"""Processes that outlive whoever started them, and are found again by who comes next.

For what has to go on while its supervisor is replaced; all else belongs to `processes`, where
nothing survives its owner. docs/design/machine.md says how such a process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandemkit.supervise.marks import Mark, look
from tandemkit.supervise.processes import ProcessFailure

_LOG_MODE = 0o600
# For the kernel to end what was killed.
_KILL_S_MAX = 5.0
# What Python ignores, or a shell had ignored, its child should not.
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and the file that both streams of its output are added to."""

    argv: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str]


def start_detached(program: Program) -> int:
    """Its process id, which is also that of its session and group. It is our child: whoever stays
    has to wait for it. Raises ProcessFailure.
    """
    name = program.argv[0]
    if shutil.which(name) is None:
        raise ProcessFailure("process could not start: no such program", program=name)
    log, flags = str(program.log_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, flags, _LOG_MODE),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    try:
        return os.posix_spawnp(
            name,
            program.argv,
            program.environment,
            file_actions=actions,
            setsid=True,
            setsigdef=_RESET,
        )
    except OSError as error:
        raise ProcessFailure("process could not start", program=name, cause=error) from error


class Detached:
    """A process that runs by itself, ours or found again. Belongs to the loop that it was made in;
    `let_go` of it when it is not watched any more.
    """

    def __init__(self, mark: Mark, descriptor: int) -> None:
        self.mark = mark
        self._descriptor: int | None = descriptor
        self._ended = asyncio.Event()
        # Known of our own children alone; negative is the signal.
        self.exit_status: int | None = None
        asyncio.get_running_loop().add_reader(descriptor, self._end)

    @classmethod
    def started(cls, program: Program) -> Detached:
        """Raises ProcessFailure."""
        pid = start_detached(program)
        # Our child keeps its number until we asked how it ended.
        descriptor, found = os.pidfd_open(pid), look(pid)
        mark = Mark.of(pid) if found else Mark(pid, 0, "")
        return cls(mark or Mark(pid, 0, ""), descriptor)

    @classmethod
    def found(cls, mark: Mark) -> Detached | None:
        """None where the process is over."""
        try:
            descriptor = os.pidfd_open(mark.pid)
        except OSError:
            return None
        # Looked at behind the opening: from here on the number cannot be another's.
        if mark.look() is None:
            os.close(descriptor)
            return None
        return cls(mark, descriptor)

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> int | None:
        """Returns once it has ended, with its status if that can be known."""
        await self._ended.wait()
        return self.exit_status

    async def stop(self, grace_s: float) -> bool:
        """Asks its group to end, and kills it after the grace. Returns whether it had to."""
        self.signal(signal.SIGTERM)
        # One that was frozen could not hear it.
        self.signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        was_killed = not self.has_ended
        await self.kill()
        return was_killed

    async def kill(self) -> None:
        """Its whole group, at once."""
        # Also behind the leader's end: what it left behind in its group goes too.
        self.signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_S_MAX):
                await self._ended.wait()

    def signal(self, number: signal.Signals) -> None:
        """To its whole group. Harmless where that is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.mark.pid, number)

    def let_go(self) -> None:
        """Stops watching it; it goes on."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _end(self) -> None:
        # Of somebody else's child nobody tells us the status.
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.mark.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
        self.let_go()
        self._ended.set()


def python_argv(module: str, arguments: Sequence[str], interpreter: str) -> tuple[str, ...]:
    """`-P`: what stands in the folder that the process starts in is not to be imported."""
    return (interpreter, "-P", "-m", module, *arguments)
