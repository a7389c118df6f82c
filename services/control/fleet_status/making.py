"""What each registered host comes to, remembered for as long as it says the same: of a large fleet
hardly anything changes at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.names import AgentName
from tandemkit.mesh.catalogue import Host, Placement
from tandemkit.mesh.validation import is_address
from tandemkit.rpc.contract import Contract

# A contract, by its digest and the service that is said to be in it.
Key = tuple[str, str]
Contracts = Mapping[Key, Contract | str]


@dataclass(slots=True)
class Made:
    """One host. `serving` and `silent` differ in nothing but whether it takes calls."""

    said: nouns.Host
    place: tuple[str, int]
    is_placed: bool
    keys: tuple[Key, ...]
    serving: Host | None = None
    silent: Host | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, said: nouns.Host) -> Made:
        keys = tuple((one.contract_digest, one.service) for one in said.placements)
        return cls(said, (said.address, said.port), is_address(said.address), keys)

    def host(self, contracts: Contracts, *, serving: bool) -> Host:
        """As it stands in the catalogue. What lacks a contract is looked at anew each time."""
        if self.serving is None or self.silent is None or self.left_out:
            self.left_out = {}
            self.serving = self._made(contracts)
            self.silent = replace(self.serving, serving=False)
        return self.serving if serving else self.silent

    def _made(self, contracts: Contracts) -> Host:
        placements: dict[tuple[str, str], Placement] = {}
        for one in self.said.placements:
            contract = contracts.get(
                (one.contract_digest, one.service), "its contract is not known"
            )
            if isinstance(contract, str):
                self.left_out[f"{self.said.name}/{one.service}"] = contract
                continue
            instance = "" if one.instance == AgentName.of(one.service).short else one.instance
            placements[one.service, instance] = Placement(one.service, instance, one.serving)
        return Host(
            name=self.said.name,
            group=self.said.group,
            machine=self.said.machine,
            address=self.said.address,
            port=self.said.port,
            placements=tuple(placements[key] for key in sorted(placements)),
            version=self.said.version,
        )


class Making:
    """All hosts. `see` comes first, `of` and `chosen` are about what it saw."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}
        self._counted: Counter[Key] = Counter()
        self._chosen: tuple[Contract, ...] = ()
        self._chosen_of: Contracts = {}
        self._is_recounted = False
        self._services: frozenset[str] = frozenset()

    def see(self, hosts: Iterable[nouns.Host]) -> AbstractSet[Key]:
        """Returns the contracts that these hosts need."""
        before, self._made = self._made, {}
        lost, new = before.copy(), []
        for said in hosts:
            made = before.get(said.name)
            # Mostly it is the very object that it was.
            if made is None or (made.said is not said and made.said != said):
                made = Made.of(said)
                new.append(made)
            else:
                del lost[said.name]
            self._made[said.name] = made
        self._count(lost.values(), new)
        return self._counted.keys()

    def of(self, said: nouns.Host) -> Made:
        return self._made[said.name]

    def chosen(self, contracts: Contracts) -> tuple[Contract, ...]:
        """One of each service: while hosts of two versions serve it, the one that more of them
        have.
        """
        if self._is_recounted or contracts != self._chosen_of:
            self._chosen, self._chosen_of = self._choose(contracts), dict(contracts)
            self._is_recounted = False
        return self._chosen

    def serves(self, service: str) -> bool:
        """Whether there is such an agent among those that were chosen last."""
        return service in self._services

    def _count(self, lost: Iterable[Made], new: Iterable[Made]) -> None:
        change: Counter[Key] = Counter()
        for made in new:
            change.update(made.keys)
        for made in lost:
            change.subtract(made.keys)
        if any(change.values()):
            # A sum of counters keeps only what is above zero.
            self._counted = self._counted + change
            self._is_recounted = True

    def _choose(self, contracts: Contracts) -> tuple[Contract, ...]:
        best: dict[str, tuple[int, str, Contract]] = {}
        for (digest, service), count in self._counted.items():
            contract = contracts.get((digest, service))
            if isinstance(contract, Contract):
                found = count, digest, contract
                best[service] = max(best.get(service, found), found, key=lambda one: one[:2])
        self._services = frozenset(best)
        return tuple(best[service][2] for service in sorted(best))
