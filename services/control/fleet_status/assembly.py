"""Registered hosts and their contracts as a catalogue for the mesh. One that cannot be used is left
out with a reason; it never takes another one with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.names import AgentName
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.rpc.contract import Contract

# Whoever serves this agent answers what belongs to none: front.py.
FRONT = Contract.of(pb.DESCRIPTOR).service.full_name
# A contract, by its digest and the service that is said to be in it.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A catalogue, and why whatever is not in it is not."""

    catalogue: Catalogue
    left_out: Mapping[str, str]


def keys_of(hosts: Iterable[nouns.Host]) -> frozenset[Key]:
    """The contracts that these hosts need."""
    return frozenset(
        (one.contract_digest, one.service) for host in hosts for one in host.placements
    )


def assemble(
    present: Iterable[nouns.Host],
    departed: Iterable[nouns.Host],
    contracts: Mapping[Key, Contract | str],
) -> Assembly:
    """`present` in the order in which they changed. In place of a contract may stand why there is
    none.
    """
    left_out: dict[str, str] = {}
    hosts: list[Host] = []
    taken: set[tuple[str, int]] = set()
    # The later one has the port: the earlier one's lease has only not run out yet.
    for said in reversed(tuple(present)):
        place = said.address, said.port
        if not _is_address(said.address):
            left_out[said.name] = "its address is no IP address"
            continue
        if place in taken:
            left_out[said.name] = "another host has its address and port"
        hosts.append(_host(said, contracts, left_out, serving=place not in taken))
        taken.add(place)
    hosts += (
        _host(said, contracts, left_out, serving=False)
        for said in departed
        if _is_address(said.address)
    )
    hosts.sort(key=lambda host: host.name)
    chosen = _chosen((*present, *departed), contracts)
    front = FRONT if any(one.service.full_name == FRONT for one in chosen) else ""
    return Assembly(Catalogue(tuple(hosts), chosen, front), left_out)


def _host(
    said: nouns.Host,
    contracts: Mapping[Key, Contract | str],
    left_out: dict[str, str],
    *,
    serving: bool,
) -> Host:
    placements: dict[tuple[str, str], Placement] = {}
    for one in said.placements:
        contract = contracts.get((one.contract_digest, one.service), "its contract is not known")
        if isinstance(contract, str):
            left_out[f"{said.name}/{one.service}"] = contract
            continue
        instance = "" if one.instance == AgentName.of(one.service).short else one.instance
        placements[one.service, instance] = Placement(one.service, instance, one.serving)
    return Host(
        name=said.name,
        group=said.group,
        machine=said.machine,
        address=said.address,
        port=said.port,
        placements=tuple(placements[key] for key in sorted(placements)),
        version=said.version,
        serving=serving,
    )


def _chosen(
    hosts: Iterable[nouns.Host], contracts: Mapping[Key, Contract | str]
) -> tuple[Contract, ...]:
    """One of each service: while hosts of two versions serve it, the one that more of them have."""
    counted = Counter(
        (one.contract_digest, one.service) for host in hosts for one in host.placements
    )
    best: dict[str, tuple[int, str, Contract]] = {}
    for (digest, service), count in counted.items():
        contract = contracts.get((digest, service))
        if isinstance(contract, Contract):
            found = count, digest, contract
            best[service] = max(best.get(service, found), found, key=lambda one: one[:2])
    return tuple(best[service][2] for service in sorted(best))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
