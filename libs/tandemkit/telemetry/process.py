"""What this process uses of its machine, under the names that every Prometheus client has."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample

# The kernel's own accounts: read from memory, never from a disk.
_PROC = Path("/proc")
_STARTED_FIELD = 22


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment. What the kernel keeps no account of is None, as on a system without /proc."""

    cpu_s: float
    memory_bytes: int | None
    virtual_bytes: int | None
    open_fds: int | None
    started_unix_s: float | None

    @classmethod
    def now(cls) -> Usage:
        times = os.times()
        cpu_s = times.user + times.system
        try:
            virtual, resident = _PROC.joinpath("self/statm").read_text().split()[:2]
            page_bytes = os.sysconf("SC_PAGE_SIZE")
            # One of them is the one that counts them.
            open_fds = sum(1 for _ in _PROC.joinpath("self/fd").iterdir()) - 1
            sizes = int(resident) * page_bytes, int(virtual) * page_bytes
            return cls(cpu_s, *sizes, open_fds, _started_unix_s())
        except FileNotFoundError:
            return cls(cpu_s, None, None, None, None)


def families(usage: Usage) -> Iterator[Family]:
    """Those of them that are known."""
    fds_max, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for name, kind, meaning, value in (
        ("process_cpu_seconds", COUNTER, "CPU time, user and system.", usage.cpu_s),
        ("process_resident_memory_bytes", GAUGE, "Memory in use.", usage.memory_bytes),
        ("process_virtual_memory_bytes", GAUGE, "Address space.", usage.virtual_bytes),
        ("process_open_fds", GAUGE, "Open file descriptors.", usage.open_fds),
        ("process_max_fds", GAUGE, "Limit of open file descriptors.", fds_max),
        ("process_start_time_seconds", GAUGE, "Start, since 1970.", usage.started_unix_s),
    ):
        if value is not None:
            yield Family(name, kind, meaning, [Sample(value, {})])


def _started_unix_s() -> float:
    # The second field is the program's name, which may hold anything.
    fields = _PROC.joinpath("self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[_STARTED_FIELD - 3])
    booted = _PROC.joinpath("stat").read_text().partition("btime ")[2].split()[0]
    return int(booted) + ticks / os.sysconf("SC_CLK_TCK")
