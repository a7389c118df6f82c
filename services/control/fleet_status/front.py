"""What answers on the fleet's target for what belongs to no single agent: reflection and health of
all of them, and calls to agents that nobody knows.

It goes by what clients are told, so it never denies an agent that they can call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.descriptor_pool import DescriptorPool

from services.control.fleet_status.library import pools_of
from services.control.fleet_status.near import Names
from tandem.control.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.core.names import AgentName
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refusal, of_agent

# About as long as a change takes to reach a client.
_RETRY_AFTER_S = 1.0
_MET_MAX = 10_000
_REASONS = errors.ErrorReason.DESCRIPTOR
# The service and the instance; the default one is empty.
_Key = tuple[str, str]


@dataclass
class _Directory:
    """Who can be asked for, under which names, and what of it was made so far."""

    contracts: tuple[Contract, ...] = ()
    keys: dict[str, _Key] = field(default_factory=dict)
    names: Names | None = None
    pools: tuple[DescriptorPool, ...] | None = None


class Front:
    """`Elsewhere` for the whole fleet. It looks when it is asked: a change costs it nothing."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._seen: Catalogue | None = None
        self._policy: TrafficPolicy | None = None
        self._last = _Directory()
        self._met: dict[str, None] = {}
        self._met_last: tuple[Contract, ...] = ()
        self._serving: frozenset[_Key] = frozenset()

    async def follow(self, tell: Callable[[], None]) -> None:
        """Calls `tell` after each change of what clients are told, until cancelled."""
        with self._publication.watching() as changed:
            while True:
                await changed.wait()
                changed.clear()
                self._meet(self._publication.catalogue)
                tell()

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(one.service.full_name for one in self._directory.contracts)

    @property
    def pools(self) -> tuple[DescriptorPool, ...]:
        known = self._directory
        if known.pools is None:
            known.pools = pools_of(known.contracts)
        return known.pools

    def serving(self, name: str) -> bool | None:
        """By full name, short name, alias, or the name of an instance."""
        key = self._directory.keys.get(name)
        return None if key is None else key in self._serving

    def refusal(self, name: str) -> Refusal:
        return of_agent(self._failure(name), _REASONS)

    def _failure(self, name: str) -> CallerError | TransientError:
        known = self._directory
        if self._seen is None:
            return TransientError(
                errors.ERROR_REASON_FLEET_UNKNOWN,
                "this control does not know the fleet yet",
                retry_after_s=_RETRY_AFTER_S,
                name=name,
            )
        if key := known.keys.get(name):
            is_served = key in self._serving
            return TransientError(
                errors.ERROR_REASON_AGENT_NOT_HERE,
                "the agent is not at this server; call it on xds:///tandem"
                if is_served
                else "no host of the fleet serves the agent at present",
                retry_after_s=_RETRY_AFTER_S,
                name=name,
            )
        near = ", ".join(self._near(name))
        hint = f"; did you mean {near}?" if near else ""
        return CallerError(
            errors.ERROR_REASON_AGENT_UNKNOWN,
            f"the fleet has no agent of that name{hint}",
            name=name,
            near=near,
        )

    def _near(self, name: str) -> tuple[str, ...]:
        known = self._directory
        if known.names is None:
            spelled = [(spelling, service) for spelling, (service, _) in known.keys.items()]
            own = (("-".join(one.name.words), one.service.full_name) for one in known.contracts)
            known.names = Names((*spelled, *own))
        return known.names.near(name)

    @property
    def _directory(self) -> _Directory:
        catalogue, policy = self._publication.catalogue, self._publication.policy
        if catalogue is not None and (catalogue is not self._seen or policy is not self._policy):
            self._look(catalogue, policy)
            self._seen, self._policy = catalogue, policy
        return self._last

    def _meet(self, catalogue: Catalogue | None) -> None:
        """An agent whose last host is long gone is not unknown: somebody may start one again."""
        contracts = catalogue.contracts if catalogue is not None else ()
        if contracts is self._met_last:
            return
        self._met_last = contracts
        for contract in contracts:
            self._met[contract.service.full_name] = None
        for service in tuple(self._met)[: max(0, len(self._met) - _MET_MAX)]:
            del self._met[service]

    def _look(self, catalogue: Catalogue, policy: TrafficPolicy) -> None:
        placed = [(host, one) for host in catalogue.hosts for one in host.placements]
        self._serving = frozenset(
            (one.service, one.instance)
            for host, one in placed
            if host.serving and one.serving and host.name not in policy.drained
        )
        instances = {(one.service, one.instance) for _, one in placed if one.instance}
        met = ((name, (service, "")) for service in self._met for name in _own_names(service))
        keys = dict(met) | dict(_spellings(catalogue.contracts, instances))
        if (catalogue.contracts, keys) != (self._last.contracts, self._last.keys):
            self._last = _Directory(catalogue.contracts, keys)


def _spellings(contracts: tuple[Contract, ...], instances: set[_Key]) -> Iterator[tuple[str, _Key]]:
    """The weaker first: an agent's own name counts, whatever another one has as an alias."""
    for contract in contracts:
        for alias in contract.aliases:
            yield alias, (contract.service.full_name, "")
    known = {contract.service.full_name for contract in contracts}
    for service, instance in sorted(instances):
        if service in known:
            yield instance, (service, instance)
    for contract in contracts:
        service = contract.service.full_name
        for name in _own_names(service):
            yield name, (service, "")


def _own_names(service: str) -> tuple[str, str]:
    return AgentName.of(service).short, service
