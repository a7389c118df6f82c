"""What clients are told of hosts that are held out or silent: so many of a group stay that no blip
empties it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tandem.control.v1 import registration_pb2 as nouns


class Kind(Enum):
    """What is done with a host."""

    DAMPED = "its lease ran out too often"
    KEPT = "too few of its group would be left without it"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done with a host though its lease says otherwise, and until when (monotonic)."""

    kind: Kind
    until_s: float


@dataclass(frozen=True, slots=True)
class Silent:
    """A host whose lease ran out or that drained, until it is forgotten."""

    host: nouns.Host
    until_s: float
    drained: bool


@dataclass(frozen=True, slots=True)
class Told:
    """`present` as they changed, whoever stays in spite of its silence before all others."""

    present: tuple[nouns.Host, ...] = ()
    absent: tuple[nouns.Host, ...] = ()
    treatments: Mapping[str, Treatment] = field(default_factory=dict)


def floor_of(known_count: int) -> int:
    """So many of a group's hosts are told whatever becomes of their leases: half, at least one."""
    return max(1, known_count // 2)


def told(
    hosts: Mapping[str, nouns.Host], silent: Mapping[str, Silent], held: Mapping[str, float]
) -> Told:
    """Hosts with a lease, those without one, and until when some of the former are held out."""
    if not held and not silent:
        return Told(tuple(hosts.values()))
    held = {name: until_s for name, until_s in held.items() if name in hosts}
    taken = {(one.address, one.port) for one in hosts.values()} if silent else set()
    # Another host on its port is what it became: a restart under another name.
    lapsed = {
        name: one
        for name, one in silent.items()
        if not one.drained and (one.host.address, one.host.port) not in taken
    }
    fit = Counter(one.group for name, one in hosts.items() if name not in held)
    treatments: dict[str, Treatment] = {}
    for group, waiting in _by_group(hosts, held, lapsed).items():
        spared = max(0, floor_of(fit[group] + len(waiting)) - fit[group])
        for number, (name, until_s) in enumerate(waiting):
            if name in held and number >= spared:
                treatments[name] = Treatment(Kind.DAMPED, until_s)
            elif name not in held and number < spared:
                treatments[name] = Treatment(Kind.KEPT, until_s)
    kept = (one.host for name, one in silent.items() if name in treatments)
    present = (one for name, one in hosts.items() if name not in treatments)
    damped = (one for name, one in hosts.items() if name in treatments)
    gone = (one.host for name, one in silent.items() if name not in treatments)
    return Told((*kept, *present), (*damped, *gone), treatments)


def _by_group(
    hosts: Mapping[str, nouns.Host], held: Mapping[str, float], lapsed: Mapping[str, Silent]
) -> dict[str, list[tuple[str, float]]]:
    """Who may be spared, with the end of that: first those with a lease who are free soonest, then
    those who were heard last.
    """
    alive = sorted((until_s, name, hosts[name].group) for name, until_s in held.items())
    quiet = sorted((-one.until_s, name, one.host.group) for name, one in lapsed.items())
    found: dict[str, list[tuple[str, float]]] = {}
    for until_s, name, group in (*alive, *quiet):
        found.setdefault(group, []).append((name, abs(until_s)))
    return found
