"""The machines of the fleet as their supervisors tell them, or as control does where one of them
does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandemkit.cli.credential import shown_at
from tandemkit.core.environment import Environment
from tandemkit.supervise.tasks import failure_of

MACHINE_SERVICE = pb.DESCRIPTOR.services_by_name["MachineService"].full_name
_ANSWER_WITHIN_S = 1.0
_PAGE = 1000
_DRAINED = "drained by the traffic policy; ./tandem return gives it calls again"


@dataclass(frozen=True, slots=True)
class View:
    """One machine. `told_by` is who says so: its supervisor, or control, which knows less."""

    machine: nouns.Machine
    is_here: bool
    told_by: str = "supervisor"


@dataclass(frozen=True, slots=True)
class Others:
    """The other machines, and what keeps them from being known. `drained` are the hosts, on all
    machines, that the traffic policy keeps new calls from.
    """

    views: tuple[View, ...] = ()
    remark: str = ""
    drained: frozenset[str] = frozenset()

    def beside(self, here: nouns.Machine) -> list[View]:
        """All machines, this one first, with what only the policy knows of their hosts."""
        return [self._as_drained(one) for one in (View(here, is_here=True), *self.views)]

    def _as_drained(self, view: View) -> View:
        named = {f"hosts/{view.machine.name}-{host.host}" for host in view.machine.hosts}
        if not named & self.drained:
            return view
        told = nouns.Machine()
        told.CopyFrom(view.machine)
        for host in told.hosts:
            is_drained = f"hosts/{told.name}-{host.host}" in self.drained
            if is_drained and host.state == nouns.HOST_STATE_SERVING:
                host.state = nouns.HOST_STATE_DRAINING
                host.cause = _DRAINED
        return View(told, view.is_here, view.told_by)


async def others(controls: Sequence[str], here: str) -> Others:
    """The machines besides `here` that the first control which answers knows of."""
    for control in controls:
        try:
            agents = await agents_at(control)
        except grpc.RpcError:
            continue
        names = sorted(_machines(agents) - {here})
        views = tuple(await asyncio.gather(*(_view(name, agents) for name in names)))
        return Others(views, drained=frozenset(_drained(agents)))
    where = ", ".join(controls) or "nowhere"
    return Others(remark=f"no control answers ({where}), so other machines are not told of")


async def agents_at(control: str) -> list[status_pb.FleetAgent]:
    """All agents of the fleet, with where they run."""
    found: list[status_pb.FleetAgent] = []
    async with shown_at(control, Environment.read()) as channel:
        stub: Any = status_rpc.FleetStatusServiceStub(channel)
        request = status_pb.ListAgentsRequest(page_size=_PAGE)
        while True:
            page = await stub.ListAgents(request, timeout=_ANSWER_WITHIN_S)
            found.extend(page.agents)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


def supervisor_of(agents: Sequence[status_pb.FleetAgent], machine: str) -> str:
    """Where the supervisor of a machine listens; empty where control knows of none."""
    targets = (
        instance.target
        for agent in agents
        if agent.service == MACHINE_SERVICE
        for instance in agent.instances
        if instance.machine == machine
    )
    return next(targets, "")


def _drained(agents: Sequence[status_pb.FleetAgent]) -> Iterator[str]:
    return (one.host for agent in agents for one in agent.instances if one.drained)


def _machines(agents: Sequence[status_pb.FleetAgent]) -> set[str]:
    return {instance.machine for agent in agents for instance in agent.instances}


async def _view(name: str, agents: Sequence[status_pb.FleetAgent]) -> View:
    if target := supervisor_of(agents, name):
        async with shown_at(target, Environment.read()) as channel:
            asked: Any = rpc.MachineServiceStub(channel)
            call = asked.GetMachine(pb.GetMachineRequest(), timeout=_ANSWER_WITHIN_S)
            if await failure_of(call) is None:
                return View((await call).machine, is_here=False)
    return View(_as_registered(name, agents), is_here=False, told_by="control")


def _as_registered(name: str, agents: Sequence[status_pb.FleetAgent]) -> nouns.Machine:
    """What can be said of a machine from what its hosts told the registry."""
    hosts: dict[str, nouns.HostStanding] = {}
    for agent in agents:
        for instance in agent.instances:
            if instance.machine != name:
                continue
            short = instance.host.removeprefix("hosts/").removeprefix(f"{name}-")
            host = hosts.setdefault(short, nouns.HostStanding(host=short, address=instance.target))
            well, ill = nouns.AGENT_STATE_SERVING, nouns.AGENT_STATE_NOT_SERVING
            state = well if instance.serving else ill
            host.agents.add(name=instance.instance, service=agent.service, state=state)
            host.state = _state_of(host)
    return nouns.Machine(name=name, settled=True, hosts=hosts.values())


def _state_of(host: nouns.HostStanding) -> nouns.HostState.ValueType:
    well = all(agent.state == nouns.AGENT_STATE_SERVING for agent in host.agents)
    return nouns.HOST_STATE_SERVING if well else nouns.HOST_STATE_DEGRADED
