"""A plan without hosts that cannot run here, which says of each of their agents why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tandem.fleet.v1 import plan_pb2 as pb


def leave_out(plan: pb.Plan, whys: Mapping[str, str]) -> None:
    """Takes out the hosts that `whys` names, each with the reason, and with their agents those of
    other hosts that cannot do without them. A host that has no agent left goes too.
    """
    absent = {one.name: whys[host.name] for host, one in _agents(plan) if host.name in whys}
    while more := _lacking(plan, absent):
        absent |= more
    for _host, one in _agents(plan):
        if one.name in absent:
            plan.absent.add(name=one.name, service=one.service, why=absent[one.name])
    gone = set(whys)
    for machine in plan.machines:
        for host in machine.hosts:
            staying = [one for one in host.agents if one.name not in absent]
            if host.agents and not staying:
                gone.add(host.name)
            del host.agents[:]
            host.agents.extend(staying)
        hosts = [one for one in machine.hosts if one.name not in gone]
        del machine.hosts[:]
        machine.hosts.extend(hosts)
    for layer in plan.layers:
        layer.hosts[:] = [name for name in layer.hosts if name not in gone]
        layer.agents[:] = [name for name in layer.agents if name not in absent]


def _agents(plan: pb.Plan) -> Iterator[tuple[pb.PlannedHost, pb.PlannedAgent]]:
    for machine in plan.machines:
        for host in machine.hosts:
            for one in host.agents:
                yield host, one


def _lacking(plan: pb.Plan, absent: Mapping[str, str]) -> dict[str, str]:
    """Who is still there and waits for one that is not."""
    return {
        one.name: f"it cannot do without {name}, which is absent"
        for _host, one in _agents(plan)
        if one.name not in absent
        for name in one.waits_for
        if name in absent
    }
