"""Which slot an instance is given: a free one, or that of whoever was called longest ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.platform.agent_pool.books import ACTIVE, Books
from services.platform.agent_pool.pools import Pool
from tandem.control.v1 import registration_pb2 as control
from tandem.platform.v1.allocation_pb2 import Allocation


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance as its host tells of it: calls in progress, and how long ago the latest came."""

    calls: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class Pick:
    """Who gives the slot up, or how long it takes until somebody may; None: nobody will by
    itself.
    """

    name: str = ""
    wait_s: float | None = None


def fitting(
    pool: Pool, hosts: Iterable[control.Host], wanted: Allocation
) -> tuple[control.Host, ...]:
    """Hosts that may serve it: once it has been on a machine its state is there."""
    own = (host for host in hosts if pool.has(host))
    return tuple(host for host in own if wanted.machine in {"", host.machine})


def free(pool: Pool, hosts: Sequence[control.Host], books: Books, wanted: Allocation) -> str:
    """The host with a free slot where it was last, else the emptiest; empty where all are full."""
    used = {host.name: books.used(host.name) for host in hosts}
    open_ = [name for name, count in used.items() if count < pool.slots_per_host]
    return min(open_, key=lambda one: (one != wanted.host, used[one], one), default="")


def longest_idle(
    candidates: Iterable[Allocation], seen: Mapping[str, Seen], idle_min_s: float
) -> Pick:
    """Of those that are active, not pinned and without calls."""
    idle = {
        one.name: seen[one.name].idle_s
        for one in candidates
        if one.state == ACTIVE and not one.pinned and one.name in seen
        if not seen[one.name].calls
    }
    if not idle:
        return Pick()
    name = max(idle, key=lambda one: (idle[one], one))
    if idle[name] < idle_min_s:
        return Pick(wait_s=idle_min_s - idle[name])
    return Pick(name)
