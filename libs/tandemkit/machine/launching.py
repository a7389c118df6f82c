"""A host's process: found where an earlier supervisor left it, or started and written down."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tandemkit.core.clock import Clock
from tandemkit.machine import source_host
from tandemkit.machine.home import Home, write_at_once
from tandemkit.machine.orders import Order
from tandemkit.machine.parts import kinds
from tandemkit.machine.record import Record, record_path
from tandemkit.machine.sight import Sight, Tell, Watching
from tandemkit.supervise.cgroups import Cgroup
from tandemkit.supervise.confinement import CGROUPS, cgroups_at, group_name
from tandemkit.supervise.detached import Detached, Program, python_argv
from tandemkit.supervise.processes import Command
from tandemkit.supervise.reports import LogSink, Sink

_WRITTEN_BYTES_MAX = 256 * 1024
Argv = Callable[[Order, Home], tuple[str, ...]]


def from_source(order: Order, home: Home) -> tuple[str, ...]:
    """What a checkout runs."""
    if order.part is not None:
        return kinds.argv(order.part, home)
    path = home.hosts / f"{order.name}.plan.binpb"
    options = (str(path), *order.options(home))
    if order.planned.runtime:
        return (*order.planned.program, *options)
    return python_argv(source_host.__name__, options, sys.executable)


@dataclass(frozen=True)
class Ground:
    """What all posts of a machine share. `changed` is called whenever one of them did, and `used`
    where that is only what a host used, which nobody has to hear at once.
    """

    home: Home
    clock: Clock
    watching: Watching
    variables: Mapping[str, str]
    changed: Callable[[], None]
    argv: Argv = from_source
    # Takes what becomes of the hosts' processes.
    sink: Sink = field(default_factory=LogSink)
    used: Callable[[], None] = lambda: None

    def heard(self, was: Sight | None, sight: Sight) -> None:
        """A host has said how it is."""
        if sight.differs(was):
            self.changed()
        else:
            self.used()

    async def watch(self, order: Order, tell: Tell) -> None:
        """A host for as long as it lives; a server of others until it does what it is there for."""
        if order.part is None:
            await self.watching.watch(order.address, tell)
            return
        await kinds.watch(order.part, self.home, self.clock).until_it_answers()
        tell(Sight())


class Launch:
    """Of one host, process after process."""

    def __init__(self, host: str, ground: Ground) -> None:
        self._host, self._ground = host, ground
        self._record = record_path(ground.home.hosts, host)
        self._log = Command((), ground.home.logs / f"{host}.log")
        # Of a process with a limit of memory: how many before it the kernel had ended.
        self._group: Cgroup | None = None
        self._kills = 0

    def left_behind(self) -> tuple[Detached, Record] | None:
        """A process that an earlier supervisor started here, and that still runs."""
        record = Record.read(self._record)
        found = Detached.found(record.mark) if record else None
        return (found, record) if found and record else None

    def start(self, order: Order, starts: int) -> tuple[Detached, Record]:
        """A new one, which is the `starts`-th. Raises ProcessFailure, and OSError where it
        cannot be written down.
        """
        ground = self._ground
        plan = ground.home.hosts / f"{self._host}.plan.binpb"
        write_at_once(plan, order.planned.SerializeToString(deterministic=True))
        argv = ground.argv(order, ground.home)
        self._grouped(order)
        process = Detached.started(Program(argv, self._log.log_path, ground.variables))
        now, layer = ground.clock.now(), order.planned.layer
        record = Record(process.mark, order.digest, starts, now, layer)
        try:
            record.write(self._record)
        except OSError:
            # Nobody would ever find it again.
            process.signal(signal.SIGKILL)
            raise
        return process, record

    def forget(self) -> None:
        """There is none any more."""
        self._record.unlink(missing_ok=True)
        if self._group is not None:
            self._group.remove()

    def out_of_memory(self, order: Order) -> str:
        """Whether the kernel ended its last process for want of memory, in words; empty if not, or
        if there is no group that would tell.
        """
        if self._group is None or self._group.kills() <= self._kills:
            return ""
        most = order.planned.memory_mib_max
        return f"the kernel ended it, for it used more memory than the {most} MiB that it may"

    def _grouped(self, order: Order) -> None:
        """Looks up the group that its next process is in, or will be."""
        name = group_name(f"{order.site.machine}-{self._host}", self._ground.home.state)
        groups = cgroups_at(CGROUPS) if order.planned.memory_mib_max else None
        self._group = groups.of(name) if groups else None
        self._kills = self._group.kills() if self._group else 0

    @property
    def log_bytes(self) -> int:
        """How much its processes wrote so far."""
        try:
            return self._log.log_path.stat().st_size
        except FileNotFoundError:
            return 0

    def log_tail(self, since: int) -> str:
        """The last lines from that byte on."""
        return self._log.log_tail(since)

    def written(self, since: int) -> str:
        """What its processes wrote from that byte on: the last of it, where it is much."""
        with suppress(FileNotFoundError), self._log.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(since, size - _WRITTEN_BYTES_MAX))
            return log.read().decode(errors="replace")
        return ""
