"""Whatever files somebody writes: a plan that is accepted gives nothing away twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1.resources_pb2 import PRIORITY_ESSENTIAL
from tandemkit.fleet.needs import REGISTRY, Calls
from tandemkit.fleet.plan import PlanRefused
from tandemkit.supervise.pressure import Pressure, suspension_order
from tests.unit.tandemkit.fleet.planted import FILES, FLEET, LAYOUT, Planted

_GROUPS, _MACHINES = ("one", "two", "three"), ("a", "b")
_AGENTS = tuple(f"x-{group}{number}" for group in _GROUPS for number in range(2))
_SERVICES = {name: f"tandem.x.v1.{name[2:].capitalize()}Service" for name in _AGENTS}
_POOL_MIB = 400


@st.composite
def fleets(draw: st.DrawFn) -> Planted:
    """Six agents of three groups on one or two machines, with calls in any direction."""
    control = {"name": "control-registry", "service": REGISTRY, "pool": "infrastructure"}
    stanzas: list[dict[str, Any]] = [
        {
            "name": name,
            "service": _SERVICES[name],
            "memory_mib": draw(st.integers(1, 90)),
            "gpu_percent": draw(st.sampled_from((0, 0, 20, 45))),
            "pool": draw(st.sampled_from(("standard", "critical", "infrastructure"))),
            "replicas": draw(st.integers(1, 2)),
        }
        for name in _AGENTS
    ]
    machines: list[dict[str, Any]] = [
        {
            "name": name,
            "address": name,
            "cpu_cores": 2,
            "memory_mib": 4 * _POOL_MIB,
            "gpus": [{"name": "gpu0", "memory_mib": 1024, "reserved_percent": draw(_RESERVED)}],
        }
        for name in _MACHINES
    ]
    groups = [{"name": name, "agents": [f"x-{name}*"], "replicas": 2} for name in _GROUPS]
    placed = [{"group": name} for name in draw(st.sets(st.sampled_from(_GROUPS)))]
    profile = {
        "name": "any",
        "machines": list(draw(st.sampled_from((("a",), ("b", "a"))))),
        "replicas_max": draw(st.integers(1, 2)),
        "groups": [{"group": "control"}, *placed],
    }
    files = {
        FLEET: {"agents": [control, *stanzas]},
        f"{LAYOUT}/machines.yaml": {"machines": machines},
        f"{LAYOUT}/groups.yaml": {"groups": [{"name": "control", "agents": ["*"]}, *groups]},
        "fleet/profiles/any.yaml": profile,
    }
    texts = {path: yaml.safe_dump(content) for path, content in files.items()}
    kept = {path: FILES[path] for path in ("ports.yaml", f"{LAYOUT}/pools.yaml")}
    return Planted({**texts, **kept}, draw(_CALLS))


_RESERVED = st.sampled_from((0, 10, 50))
_CALLS = st.dictionaries(
    st.sampled_from(sorted(_SERVICES.values())),
    st.builds(
        Calls,
        hard=st.lists(st.sampled_from(sorted(_SERVICES.values())), max_size=1).map(tuple),
        soft=st.lists(st.sampled_from(sorted(_SERVICES.values())), max_size=1).map(tuple),
    ),
    max_size=2,
)


def accepted(planted: Planted) -> pb.Plan:
    """The plan; a fleet that is refused shows nothing here."""
    try:
        plan = planted.plan("any")
    except PlanRefused as refused:
        event(f"refused: {str(refused.mistakes[0].message)[:40]}")
        assume(False)
        raise
    event("accepted")
    return plan


_ENOUGH = settings(max_examples=60, deadline=None)


@_ENOUGH
@given(fleets())
def test_no_plan_gives_memory_gpus_or_ports_twice(planted: Planted) -> None:
    """The sums are made afresh from the hosts, never taken from the planner."""
    for machine in accepted(planted).machines:
        _check_memory(machine)
        for gpu in machine.gpus:
            given_away = sum(host.gpu_percent for host in machine.hosts if host.gpu == gpu.name)
            assert given_away == gpu.planned_percent <= 100 - gpu.reserved_percent
        for host in machine.hosts:
            assert sum(agent.gpu_percent for agent in host.agents) <= host.gpu_percent
        ports = [port for one in machine.hosts for port in (one.grpc_port, one.http_port)]
        assert len(set(ports)) == len(ports)
        assert all(8200 <= one.grpc_port <= 8210 for one in machine.hosts)
        assert all(9101 <= one.http_port <= 9110 for one in machine.hosts)


def _check_memory(machine: pb.PlannedMachine) -> None:
    held: Counter[int] = Counter()
    for host in machine.hosts:
        agents_mib = sum(agent.memory_mib for agent in host.agents)
        held[host.pool] += host.memory_mib - agents_mib
        for agent in host.agents:
            held[agent.pool] += agent.memory_mib
    for pool in machine.pools:
        assert held[pool.pool] == pool.planned_mib <= pool.memory_mib
    assert held.total() <= machine.memory_mib


@_ENOUGH
@given(fleets())
def test_every_agent_of_every_group_is_placed(planted: Planted) -> None:
    """As often as its stanza says and the profile allows, on hosts of its group alone."""
    plan = accepted(planted)
    profile = yaml.safe_load(planted.files["fleet/profiles/any.yaml"])
    wanted = {"control-registry": 1}
    for stanza in yaml.safe_load(planted.files[FLEET])["agents"][1:]:
        if {"group": stanza["name"][2:-1]} in profile["groups"]:
            wanted[stanza["name"]] = min(stanza["replicas"], profile["replicas_max"])
    served = Counter(
        agent.name for machine in plan.machines for host in machine.hosts for agent in host.agents
    )
    assert dict(served) == wanted


@_ENOUGH
@given(fleets())
def test_nobody_serves_before_those_that_it_waits_for(planted: Planted) -> None:
    """Each agent stands in one layer, behind all that it needs, and its host has been started."""
    plan = accepted(planted)
    layer_of = {name: at for at, layer in enumerate(plan.layers) for name in layer.agents}
    started = {name: at for at, layer in enumerate(plan.layers) for name in layer.hosts}
    for host in (host for machine in plan.machines for host in machine.hosts):
        for agent in host.agents:
            assert started[host.name] <= layer_of[agent.name] == agent.layer
            assert all(layer_of[one] < agent.layer for one in agent.waits_for)


@_ENOUGH
@given(fleets(), st.integers(0, 800))
def test_nobody_is_suspended_who_is_still_needed(planted: Planted, memory_mib: int) -> None:
    """Callers first, the essential never, and no more than it takes."""
    plan = accepted(planted)
    agents = {
        agent.name: agent for one in plan.machines for host in one.hosts for agent in host.agents
    }
    for machine in plan.machines:
        order = suspension_order(plan, Pressure(machine.name, memory_mib))
        here = {agent.name for host in machine.hosts for agent in host.agents}
        gone: set[str] = set()
        for one in order:
            callers = {name for name in here if one.agent in agents[name].waits_for}
            assert callers <= gone
            assert agents[one.agent].priority < PRIORITY_ESSENTIAL
            gone.add(one.agent)
        assert sum(one.memory_mib for one in order[:-1]) < max(memory_mib, 1)
        assert [one.priority for one in order] == sorted(one.priority for one in order)
