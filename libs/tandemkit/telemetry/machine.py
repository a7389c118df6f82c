"""What this machine, or the cgroup that we are confined to, has left of memory and cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
# A cgroup v1 without a limit says a number near 2^63.
_NO_LIMIT_BYTES = 2**60


@dataclass(frozen=True, slots=True)
class Memory:
    """`bound` says whose limit it is: `machine`, `cgroup v1` or `cgroup v2`."""

    limit_bytes: int
    available_bytes: int
    bound: str
    # Share of the last 10 s, in percent, in which some task waited for memory; None where the
    # kernel keeps no account of pressure.
    stalled_percent: float | None


@dataclass(frozen=True, slots=True)
class Cores:
    """How many this process may use, and how many tasks wanted one over the last minute."""

    usable: float
    load_1m: float


class NoAccounts(Exception):
    """A system without /proc."""


def memory(root: Path = _ROOT) -> Memory:
    """The tightest of all limits. Read from the kernel's own memory: it takes 0.1 ms. Raises
    NoAccounts.
    """
    try:
        said = _table(root / "proc/meminfo")
    except OSError as error:
        raise NoAccounts("this system keeps no /proc/meminfo") from error
    machine = (said["MemTotal"] * 1024, said["MemAvailable"] * 1024, "machine")
    limit, available, bound = min((machine, *_confined(root)), key=lambda one: one[1])
    return Memory(limit, available, bound, _stalled_percent(root, bound))


def cores(root: Path = _ROOT) -> Cores:
    """As far as affinity and the cgroup's quota let us."""
    usable = float(len(os.sched_getaffinity(0)))
    quotas = (_quota(folder, version) for folder, version in _folders(root, "cpu"))
    return Cores(min((usable, *(one for one in quotas if one))), os.getloadavg()[0])


def _confined(root: Path) -> Iterator[tuple[int, int, str]]:
    """Limit, what is left of it, and the kind of cgroup, for each that limits us."""
    for folder, version in _folders(root, "memory"):
        names = ("memory.max", "memory.current")
        if version == "cgroup v1":
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, used = (_number(folder / name) for name in names)
        if limit is None or used is None or limit >= _NO_LIMIT_BYTES:
            continue
        # Pages of files that nobody used lately go first when memory is short.
        stat = _table(folder / "memory.stat")
        reclaimable = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        yield limit, max(0, limit - max(0, used - reclaimable)), version


def _folders(root: Path, controller: str) -> Iterator[tuple[Path, str]]:
    """Our cgroup's folder and those around it, as far as they are mounted here: a container sees
    its own as the root.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        version = "cgroup v1" if controllers else "cgroup v2"
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        inner = mount / path.strip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(mount) and folder.is_dir():
                yield folder, version


def _quota(folder: Path, version: str) -> float | None:
    if version == "cgroup v1":
        quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        return quota / period if quota is not None and quota > 0 and period else None
    try:
        text, period_text = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if text == "max" else int(text) / int(period_text)


def _stalled_percent(root: Path, bound: str) -> float | None:
    inner = [
        folder / "memory.pressure" for folder, kind in _folders(root, "memory") if kind == bound
    ]
    for path in (*inner[:1], root / "proc/pressure/memory"):
        try:
            some = path.read_text().split("some ", 1)[1]
            return float(some.split("avg10=", 1)[1].split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return None


def _number(path: Path) -> int | None:
    """None where there is no such file, or it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number, as /proc and cgroups write them; other lines count for
    nothing.
    """
    found = {}
    for line in path.read_text().splitlines():
        name, *values = line.replace(":", " ").split()
        if values and values[0].isdecimal():
            found[name] = int(values[0])
    return found
