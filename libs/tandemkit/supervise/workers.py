"""Work that would hold a loop, in processes of its own: docs/design/supervision.md.

None is a fork of ours, whose threads and locks nobody could account for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Bug, Failure
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.places import NoPlace, Places
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.reports import Exited
from tandemkit.supervise.worker import BOOT, SIZE, Done, Task

P = ParamSpec("P")
R = TypeVar("R")
_READ_BYTES = 1 << 20
_LOG_BYTES_MAX = 1 << 20


class WorkersBusy(Failure):
    """All processes are at work, and as many callers wait as may."""


class WorkerLost(Failure):
    """The process ended before the work was done; the metadata says how."""


@dataclass(frozen=True, slots=True)
class Crew:
    """How many processes there may be, how many callers may wait for one, and for how long one
    stays that has nothing to do.
    """

    processes_max: int = 1
    waiting_max: int = 16
    idle_s: float = 30.0


@dataclass(slots=True)
class Account:
    """What was done so far."""

    runs: int = 0
    lost: int = 0
    cpu_s: float = 0.0


class Workers:
    """`keep` runs for as long as it is used: it ends processes that have nothing to do, and all of
    them when it is cancelled.
    """

    def __init__(
        self, crew: Crew, folder: Path, clock: Clock, rank: Callable[[], int] = int
    ) -> None:
        """Their log is in `folder`. `rank` says of whoever asks for work how long he waits: the
        lesser goes first.
        """
        self.account = Account()
        self._crew, self._log_path, self._clock = crew, folder / "workers.log", clock
        self._places = Places(crew.processes_max, crew.waiting_max)
        self._rank = rank
        self._idle: deque[_Worker] = deque()
        self._rested = asyncio.Event()
        self._errands = Errands()

    async def run(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """What the function returns or raises, in another process; it has to be a module's own, and
        what goes in and out can be pickled. Cancelled, its process is killed, for nothing else ends
        a function. Raises WorkersBusy, WorkerLost, and Bug for what cannot be sent.
        """
        told = _packed(Task(function, arguments, named))
        try:
            await self._places.take(self._rank())
        except NoPlace as error:
            waiting_max = self._crew.waiting_max
            raise WorkersBusy("all workers are busy", waiting_max=waiting_max) from error
        try:
            done = await self._done(told)
        finally:
            self._places.give()
        self.account.runs += 1
        self.account.cpu_s += done.cpu_s
        if done.error is not None:
            raise done.error
        return cast("R", done.value)

    async def keep(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self._rested.wait()
                self._rested.clear()
                while self._idle:
                    await self._clock.sleep(self._crew.idle_s)
                    self._dismiss_idle()
        finally:
            for worker in self._idle:
                self._dismiss(worker)
            self._idle.clear()
            # Each of them is killed already.
            await self._errands.end(grace_s=60)

    async def _done(self, told: bytes) -> Done:
        worker = await self._worker()
        try:
            done = await worker.ask(told)
        except BaseException as error:
            self.account.lost += isinstance(error, WorkerLost)
            self._dismiss(worker)
            raise
        worker.rests_since_s = self._clock.monotonic_s()
        self._idle.append(worker)
        self._rested.set()
        return done

    async def _worker(self) -> _Worker:
        while self._idle:
            # The one that rested least: the others get a chance to be too many.
            worker = self._idle.pop()
            if worker.lives:
                return worker
            self._dismiss(worker)
        with contextlib.suppress(OSError):
            if self._log_path.stat().st_size > _LOG_BYTES_MAX:
                os.truncate(self._log_path, 0)
        async with contextlib.AsyncExitStack() as stack:
            worker = await stack.enter_async_context(_started(self._log_path))
            worker.stack = stack.pop_all()
            return worker

    def _dismiss_idle(self) -> None:
        until_s = self._clock.monotonic_s() - self._crew.idle_s
        while self._idle and self._idle[0].rests_since_s <= until_s:
            self._dismiss(self._idle.popleft())

    def _dismiss(self, worker: _Worker) -> None:
        worker.process.kill()
        self._errands.start(worker.stack.aclose())


class _Worker:
    """One process, and the wire to it."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process, self._reader, self._writer = process, reader, writer
        self.rests_since_s = 0.0
        self.stack = contextlib.AsyncExitStack()

    @property
    def lives(self) -> bool:
        return self.process.exit_status is None

    async def ask(self, told: bytes) -> Done:
        try:
            self._writer.write(SIZE.pack(len(told)) + told)
            await self._writer.drain()
            (size,) = SIZE.unpack(await self._reader.readexactly(SIZE.size))
            reply = await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.process.kill()
            cause = Exited.of(await self.process.wait(), self.process.log_tail())
            raise WorkerLost("a worker ended before its work", cause=cause) from error
        done: Done = pickle.loads(reply)
        return done


@contextlib.asynccontextmanager
async def _started(log_path: Path) -> AsyncIterator[_Worker]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paths = (path or str(Path.cwd()) for path in sys.path)
        argv = (sys.executable, "-c", BOOT, str(theirs.fileno()), *paths)
        command = Command(argv, log_path, grace_s=0.0, keeps_open=(theirs.fileno(),))
        async with supervised_process(command) as process:
            theirs.close()
            reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_BYTES)
            try:
                yield _Worker(process, reader, writer)
            finally:
                writer.close()


def _packed(task: Task) -> bytes:
    function = task.function
    if getattr(function, "__module__", None) == "__main__":
        raise Bug(
            "a function of the started module has another name in a worker", function=function
        )
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise Bug("this cannot be sent to a worker", function=function) from error
