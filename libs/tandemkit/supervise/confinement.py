"""Limits of a whole process, set by itself before it does anything else: what the kernel holds it
to, and what only somebody who looks can.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tandemkit.supervise.cgroups import Cgroup, Cgroups

MIB = 1024 * 1024
# Where every Linux has them.
CGROUPS = "/sys/fs/cgroup"
# Without a cgroup a process that takes everything at once is stopped so far above its limit, by a
# refusal: stacks of threads count too, whether or not they are used.
_HEADROOM_MIB = 512
_NICE = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """0, and no cores, stand for no limit."""

    memory_mib_max: int = 0
    cpus_max: float = 0.0
    cpu_cores: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Confined:
    """By what the limits hold, in words; and the cgroup, where there is one."""

    told: tuple[str, ...]
    cgroup: Cgroup | None = None


def confine(name: str, limits: Limits, cgroups: Cgroups | None) -> Confined:
    """This process, under a name that no other one of the machine has. Nothing of it can be taken
    back.
    """
    cgroup = None
    if cgroups is not None and (limits.memory_mib_max or limits.cpus_max):
        cgroup = cgroups.made(name)
    told = (*_cores(limits), *_memory(limits, cgroup), *_cpus(limits, cgroup))
    if cgroup is not None:
        cgroup.enter()
    return Confined(told, cgroup)


def _cores(limits: Limits) -> Iterator[str]:
    if limits.cpu_cores:
        yield _bound(limits.cpu_cores, "cores")


def _memory(limits: Limits, cgroup: Cgroup | None) -> Iterator[str]:
    most_mib = limits.memory_mib_max
    if not most_mib:
        return
    if cgroup is not None and cgroup.limit_memory(most_mib * MIB):
        yield f"memory: {most_mib} MiB by {cgroup.kind}"
        return
    most = (most_mib + _HEADROOM_MIB) * MIB
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    yield f"memory: {most_mib} MiB by its supervisor's looks, {most // MIB} by rlimit"


def _cpus(limits: Limits, cgroup: Cgroup | None) -> Iterator[str]:
    if not limits.cpus_max:
        return
    if cgroup is not None and cgroup.limit_cpus(limits.cpus_max):
        yield f"cpus: {limits.cpus_max:g} by {cgroup.kind}"
        return
    wanted = math.ceil(limits.cpus_max)
    yield _bound(sorted(os.sched_getaffinity(0))[-wanted:], f"cpus: {limits.cpus_max:g} as cores")
    with contextlib.suppress(OSError):
        os.nice(_NICE)
        yield f"cpus: behind others, niceness {_NICE}"


def _bound(cores: Sequence[int], what: str) -> str:
    """Threads that begin later inherit it."""
    numbers = ",".join(map(str, cores))
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        return f"{what}: not on {numbers}, which this machine refuses: {error.strerror}"
    return f"{what}: {numbers}"


def group_name(host: str, state_dir: Path) -> str:
    """Of a host's cgroup: two fleets of one machine keep their state in different places."""
    return f"{host}-{sha256(str(state_dir.absolute()).encode()).hexdigest()[:12]}"


def cgroups_at(folder: str) -> Cgroups | None:
    """Those of the machine; None where `folder` is empty or holds none."""
    path = Path(folder)
    return Cgroups(path) if folder and path.is_dir() else None
