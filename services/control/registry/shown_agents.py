"""What people should see of the fleet in this machine's Consul, and what is to be done for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from services.control.registry.wording import HOSTS
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.names import AgentName
from tandemkit.registry.consul_services import ServedAgent, Shown
from tandemkit.registry.protocol import Entry


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts, the leases that are held at this control, and those that were seen to end."""

    hosts: tuple[Entry, ...]
    held: frozenset[str]
    ended: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """`doubted` is what no host that lives has announced: it may have been another control that
    heard of its host earlier than we, so it goes with the next look only.
    """

    announced: tuple[ServedAgent, ...]
    withdrawn: tuple[Shown, ...]
    doubted: frozenset[Shown]


def plan_of(fleet: Fleet, shown: Iterable[Shown], doubted: Collection[Shown]) -> Plan:
    """From what is shown to what should be. What other controls announced to the same Consul under
    a lease that lives is theirs.
    """
    known = {one.agent: one for one in shown}
    agents = [one for host in fleet.hosts if host.owner in fleet.held for one in agents_of(host)]
    living = {host.owner for host in fleet.hosts}
    withdrawn, unsure = [], []
    for key in known.keys() - {agent.key for agent in agents}:
        one = known[key]
        if one.hold in living:
            # Its host is held here and does not serve it any more; or it is another control's.
            withdrawn += [one] if one.hold in fleet.held else []
        elif one.hold in fleet.ended or one in doubted:
            withdrawn.append(one)
        else:
            unsure.append(one)
    new = tuple(agent for agent in agents if not _is_shown(agent, known.get(agent.key)))
    return Plan(new, tuple(withdrawn), frozenset(unsure))


def agents_of(entry: Entry) -> list[ServedAgent]:
    """A host's registration as the services that people see."""
    host = nouns.Host.FromString(entry.value)
    tags = [f"machine={host.machine}", f"group={host.group}"]
    if host.version:
        tags.append(f"version={host.version}")
    about = {"machine": host.machine, "group": host.group, "version": host.version}
    return [
        ServedAgent(
            host=host.name.removeprefix(HOSTS),
            instance=one.instance or _short(one.service),
            service=one.service,
            address=host.address,
            port=host.port,
            hold=entry.owner,
            is_serving=one.serving,
            tags=tuple(tags),
            meta=tuple({**about, "contract_digest": one.contract_digest}.items()),
        )
        for one in host.placements
    ]


def _is_shown(agent: ServedAgent, found: Shown | None) -> bool:
    return found is not None and found.mark == agent.mark


def _short(service: str) -> str:
    try:
        return AgentName.of(service).short
    except ValueError:
        return service
