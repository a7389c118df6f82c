"""Which process is meant: a number alone may belong to another one by tomorrow."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = "/proc"
# Of 52 numbers and a name of 64 bytes.
_STAT_BYTES_MAX = 4096
_WRITTEN = re.compile(r"([0-9]+) ([0-9]+) (\S+)")
# Dead and waiting for a parent that may never ask; and on its way out.
OVER = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class Look:
    """What the kernel says of a process at one moment. Ticks are hundredths of a second."""

    state: str
    start_ticks: int
    cpu_ticks: int

    @property
    def is_frozen(self) -> bool:
        """Whether somebody stopped it (SIGSTOP), so that it runs no more until it is woken."""
        return self.state == "T"


@dataclass(frozen=True, slots=True)
class Mark:
    """A process of one boot of this machine: no other ever has the same."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Mark | None:
        """None where there is no such process, or it is over."""
        found = look(pid)
        return cls(pid, found.start_ticks, boot()) if found else None

    @classmethod
    def parsed(cls, text: str) -> Mark | None:
        """As `str` wrote it; None for anything else, such as half of it."""
        found = _WRITTEN.fullmatch(text.strip())
        return cls(int(found[1]), int(found[2]), found[3]) if found else None

    def __str__(self) -> str:
        return f"{self.pid} {self.start_ticks} {self.boot}"

    def look(self) -> Look | None:
        """None where it is over."""
        found = look(self.pid)
        is_same = found is not None and found.start_ticks == self.start_ticks
        return found if is_same and self.boot == boot() else None


def look(pid: int) -> Look | None:
    """At whatever process has that number now; None where none runs."""
    fields = stat_of(pid)
    if fields is None or fields[0] in OVER:
        return None
    return Look(fields[0], int(fields[19]), int(fields[11]) + int(fields[12]))


def stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None where no process has that number."""
    try:
        # Supervisors ask twice a second for each host; a file object would be half of the price.
        file = os.open(f"{_PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        told = os.read(file, _STAT_BYTES_MAX)
    except ProcessLookupError:
        return None
    finally:
        os.close(file)
    # Its name stands in parentheses and may hold anything, bytes that are no text too.
    return told.rpartition(b")")[2].decode().split()


@functools.cache
def boot() -> str:
    """What tells this run of the kernel from any other."""
    return Path(_PROC, "sys/kernel/random/boot_id").read_text().strip()
