"""What the kernel knows of a process: whether it may run, and what it has used."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tandemkit.supervise.marks import stat_of

# What the kernel calls a thread that computes or would, one that waits for a device, one that a
# signal stopped, and one that a debugger holds.
RUNS, WAITS_FOR_DEVICE, STOPPED, TRACED = "R", "D", "T", "t"
# Fields of /proc/PID/stat behind the name.
_STATE, _USER, _SYSTEM, _STARTED, _RESIDENT = 0, 11, 12, 19, 21
_TICKS_PER_S, _PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """At one moment. `state` is that of the first thread, which runs the loop."""

    state: str
    # User and system, of all threads.
    cpu_s: float
    memory_bytes: int
    # With the pid it names a process for good, as a pid alone is given again.
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> VitalSigns | None:
        """None where there is no such process, or none that can be asked about."""
        try:
            fields = stat_of(pid)
        except PermissionError:
            return None
        if fields is None:
            return None
        ticks = int(fields[_USER]) + int(fields[_SYSTEM])
        return cls(
            state=fields[_STATE],
            cpu_s=ticks / _TICKS_PER_S,
            memory_bytes=int(fields[_RESIDENT]) * _PAGE_BYTES,
            started_ticks=int(fields[_STARTED]),
        )
