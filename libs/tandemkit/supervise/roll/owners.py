"""Whom an entry belongs to: a task of this process, or a process of this machine. An owner that is
over takes its entries along.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tandemkit.core.errors import Failure
from tandemkit.supervise.marks import OVER, boot, stat_of

# It does not change while a process lives.
_boot = cache(boot)


class NoSuchProcess(Failure):
    """No process of this machine has the number, or it is not the one that was meant."""


class TooMany(Failure):
    """The kernel gives this process no further descriptor to watch a process by."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Numbers of processes come again, and after a restart of the machine so do starts: all three
    say which process it is. `task` is empty for a whole process; as tasks share names, `serial`
    tells those of one process apart.
    """

    pid: int
    started_ticks: int
    boot: str
    task: str = ""
    serial: int = 0


class Watched:
    """Processes that are watched, each by one descriptor whatever it owns. Belongs to one loop."""

    def __init__(self) -> None:
        self._processes: dict[Owner, tuple[int, dict[object, Callable[[], None]]]] = {}

    def process(self, pid: int) -> Owner:
        """The process that has this number now. Raises NoSuchProcess."""
        owner = Owner(pid, _started_ticks(pid), _boot())
        if owner not in self._processes:
            self._processes[owner] = (self._opened(owner), {})
        return owner

    def again(self, owner: Owner) -> None:
        """Watches a process that was noted in an earlier life. Raises NoSuchProcess where it is
        over.
        """
        if self.process(owner.pid) != owner:
            self.sweep()
            raise NoSuchProcess("the process is over", pid=owner.pid)

    def when_over(self, owner: Owner, mark: object, gone: Callable[[], None]) -> None:
        """Calls `gone` once the process is over, unless `forget` is told the same `mark`."""
        self._processes[owner][1][mark] = gone

    def forget(self, owner: Owner, mark: object) -> None:
        """Harmless for what is not watched."""
        if owner in self._processes:
            self._processes[owner][1].pop(mark, None)
            self.sweep()

    def sweep(self) -> None:
        """Lets go of processes that own nothing."""
        for owner in [one for one, (_, marks) in self._processes.items() if not marks]:
            self._release(owner)

    def close(self) -> None:
        for owner in list(self._processes):
            self._release(owner)

    def _opened(self, owner: Owner) -> int:
        try:
            descriptor = os.pidfd_open(owner.pid)
        except ProcessLookupError as error:
            raise NoSuchProcess("no process has this number", pid=owner.pid) from error
        except OSError as error:
            cause = error.strerror
            raise TooMany("the process cannot be watched", pid=owner.pid, cause=cause) from error
        # The number may have gone to another process before the descriptor held this one.
        if _started_ticks(owner.pid) != owner.started_ticks:
            os.close(descriptor)
            raise NoSuchProcess("the process is over", pid=owner.pid)
        asyncio.get_running_loop().add_reader(descriptor, self._over, owner)
        return descriptor

    def _over(self, owner: Owner) -> None:
        marks = tuple(self._processes[owner][1].values())
        self._release(owner)
        for gone in marks:
            gone()

    def _release(self, owner: Owner) -> None:
        descriptor, _ = self._processes.pop(owner)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


def this_process() -> Owner:
    pid = os.getpid()
    return Owner(pid, _started_ticks(pid), _boot())


def owner_of(task: asyncio.Task[Any]) -> Owner:
    """A task of this process, by its name and the process's."""
    here = this_process()
    return Owner(here.pid, here.started_ticks, here.boot, task.get_name(), id(task))


def _started_ticks(pid: int) -> int:
    fields = stat_of(pid)
    if fields is None:
        raise NoSuchProcess("no process has this number", pid=pid)
    if fields[0] in OVER:
        raise NoSuchProcess("the process is over", pid=pid)
    return int(fields[19])
