"""Who is suspended when a machine runs out of memory."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.fleet.v1.plan_pb2 import Plan
from tandem.fleet.v1.resources_pb2 import PRIORITY_ESSENTIAL, Priority


@dataclass(frozen=True, slots=True)
class Pressure:
    """Memory that is to be freed on one machine."""

    machine: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Suspension:
    """One instance on one host, and what its end frees."""

    agent: str
    host: str
    memory_mib: int
    priority: Priority.ValueType


def suspension_order(plan: Plan, pressure: Pressure) -> tuple[Suspension, ...]:
    """The first few that together free enough, or everybody who may be suspended. Standard agents
    before critical ones, callers before those that they cannot do without, then the biggest; what
    is essential never.
    """
    freed_mib = 0
    chosen: list[Suspension] = []
    for suspension in _all_in_order(plan, pressure.machine):
        if freed_mib >= pressure.memory_mib:
            break
        chosen.append(suspension)
        freed_mib += suspension.memory_mib
    return tuple(chosen)


def _all_in_order(plan: Plan, machine: str) -> list[Suspension]:
    candidates = [
        (agent, host.name)
        for one in plan.machines
        if one.name == machine
        for host in one.hosts
        for agent in host.agents
        if agent.priority < PRIORITY_ESSENTIAL
    ]
    # A later layer holds the callers: who is called stays until nobody is left who needs it.
    candidates.sort(key=lambda it: (it[0].priority, -it[0].layer, -it[0].memory_mib, it[0].name))
    return [
        Suspension(agent.name, host, agent.memory_mib, agent.priority) for agent, host in candidates
    ]
