"""What another process has used, as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of CPU that its threads have had, to the microsecond."""
    ran_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        ran_ns += int((thread / "schedstat").read_text().split()[0])
    return ran_ns / 1e9


def resident_mb(pid: int | str) -> float:
    """Memory that it has in use now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def proportional_mb(pid: int) -> float:
    """Memory that it has in use, pages that several have counted in parts (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def with_variable(name: str, value: str) -> list[int]:
    """The processes of this user that have this in their environment, but for this one."""
    found, wanted = [], f"\0{name}={value}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in b"\0" + (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found
