"""What the control plane knows of the fleet, as plain values: who serves what, where, and whether
it is well.
"""

from __future__ import annotations

from dataclasses import dataclass

from tandemkit.rpc.contract import Contract


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
    of the whole fleet; empty: nobody does.
    """

    hosts: tuple[Host, ...] = ()
    contracts: tuple[Contract, ...] = ()
    front: str = ""
