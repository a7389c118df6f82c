"""What the control plane knows of the fleet, as plain values: who serves what, where, and whether
it is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tandemkit.rpc.contract import Contract


class Standing(Enum):
    """Why a host gets no calls, or gets them though its lease is over."""

    LEFT = "it drained and left"
    LAPSED = "its lease ended"
    DAMPED = "its lease ran out too often"
    KEPT = "its lease ended, and too few of its group would be left without it"
    DISPLACED = "another host has its address and port"
    DRAINED_BY_POLICY = "the traffic policy drains it"
    UNWELL = "the agent does not serve there"


@dataclass(frozen=True, slots=True)
class Placement:
    """One instance of an agent on a host. `instance` is its name where that is not the agent's own;
    one that is not `serving` leaves the mesh alone, its host stays.
    """

    service: str
    instance: str = ""
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Host:
    """One process with one port. A host that is not `serving` keeps its place in the catalogue, so
    that its coming back changes endpoints and nothing else.

    `group` is what hosts with the same agents share; `version` the label by which policy tells them
    apart.
    """

    name: str
    group: str
    machine: str
    address: str
    port: int
    placements: tuple[Placement, ...]
    version: str = ""
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All hosts and all contracts at one moment. A contract may have no host: calls to it fail at
    once instead of waiting.

    `front` is the agent whose hosts answer what belongs to no agent, such as reflection and health
    of the whole fleet; empty: nobody does. `standings` says of hosts, by name, why they are told as
    they are where that is not plain; nothing that is told depends on it.
    """

    hosts: tuple[Host, ...] = ()
    contracts: tuple[Contract, ...] = ()
    front: str = ""
    standings: Mapping[str, Standing] = field(default_factory=dict, hash=False)
