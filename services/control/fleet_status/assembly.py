"""Registered hosts and their contracts as a catalogue for the mesh. One that cannot be used is left
out with a reason; it never takes another one with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.control.fleet_status.making import Contracts, Making
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.mesh.catalogue import Catalogue, Host, Standing
from tandemkit.rpc.contract import Contract

# Whoever serves this agent answers what belongs to none: front.py.
FRONT = Contract.of(pb.DESCRIPTOR).service.full_name


NO_STANDINGS: Mapping[str, Standing] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Assembly:
    """A catalogue, and why whatever is not in it is not."""

    catalogue: Catalogue
    left_out: Mapping[str, str]


def assemble(
    present: Iterable[nouns.Host],
    departed: Iterable[nouns.Host],
    contracts: Contracts,
    making: Making,
    standings: Mapping[str, Standing] = NO_STANDINGS,
) -> Assembly:
    """`present` in the order in which they changed; `making` has seen all of both. In place of a
    contract may stand why there is none.
    """
    left_out: dict[str, str] = {}
    hosts: list[Host] = []
    taken: set[tuple[str, int]] = set()
    found = dict(standings)
    # The later one has the port: the earlier one's lease has only not run out yet.
    for said in reversed(tuple(present)):
        made = making.of(said)
        if not made.is_placed:
            left_out[said.name] = "its address is no IP address"
            continue
        is_free = made.place not in taken
        hosts.append(made.host(contracts, serving=is_free))
        taken.add(made.place)
        left_out |= made.left_out
        if not is_free:
            left_out[said.name] = Standing.DISPLACED.value
            found[said.name] = Standing.DISPLACED
    for said in departed:
        made = making.of(said)
        if made.is_placed:
            hosts.append(made.host(contracts, serving=False))
            left_out |= made.left_out
    hosts.sort(key=lambda host: host.name)
    chosen = making.chosen(contracts)
    front = FRONT if making.serves(FRONT) else ""
    return Assembly(Catalogue(tuple(hosts), chosen, front, found), left_out)
