"""A plan in which an agent that harms its neighbours has a process of its own."""

from __future__ import annotations

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1.group_pb2 import HostGroup
from tandemkit.core.errors import Failure
from tandemkit.fleet import asks

# Of the process itself, where its group says nothing.
_PROCESS_MIB = asks.host_memory_mib(HostGroup())


class CannotSplit(Failure):
    """The agent has to stay where it is; the message says why."""


def split_off(plan: pb.Plan, machine: str, host: str, agent: str) -> pb.Plan:
    """The same with `agent` in a host `{host}-{agent}`, whose ports are still to be chosen (0). All
    other hosts stay as they are, so nobody else is started again for it. Raises CannotSplit.
    """
    found = pb.Plan()
    found.CopyFrom(plan)
    here = next((one for one in found.machines if one.name == machine), pb.PlannedMachine())
    old = next((one for one in here.hosts if one.name == host), pb.PlannedHost())
    moved = next((one for one in old.agents if one.name == agent), None)
    if moved is None:
        raise CannotSplit("there is no such agent on the host", host=host, agent=agent)
    if len(old.agents) == 1:
        raise CannotSplit("it is alone already", host=host, agent=agent)
    _charge(here, moved)
    new = pb.PlannedHost(
        name=f"{host}-{agent}",
        groups=old.groups,
        memory_mib=moved.memory_mib + _PROCESS_MIB,
        pool=moved.pool,
        gpu=old.gpu if moved.gpu_percent else "",
        gpu_percent=moved.gpu_percent,
        cpus_max=moved.cpus_max,
        cpu_cores=moved.cpu_cores,
        layer=moved.layer,
        agents=[moved],
    )
    _leave(old, moved)
    here.hosts.append(new)
    for number, layer in enumerate(found.layers):
        names = {one.name for one in here.hosts if one.layer == number}
        elsewhere = [name for name in layer.hosts if name not in {new.name, old.name}]
        own = sorted(names & {new.name, old.name})
        layer.hosts[:] = sorted({*elsewhere, *own})
    return found


def _charge(machine: pb.PlannedMachine, moved: pb.PlannedAgent) -> None:
    """The new process needs memory that nobody was given yet."""
    for pool in machine.pools:
        if pool.pool == moved.pool:
            if pool.planned_mib + _PROCESS_MIB > pool.memory_mib:
                free_mib = pool.memory_mib - pool.planned_mib
                raise CannotSplit("its pool has no memory for a process", free_mib=free_mib)
            pool.planned_mib += _PROCESS_MIB


def _leave(old: pb.PlannedHost, moved: pb.PlannedAgent) -> None:
    staying = [one for one in old.agents if one.name != moved.name]
    del old.agents[:]
    old.agents.extend(staying)
    old.memory_mib -= moved.memory_mib
    old.gpu_percent -= min(old.gpu_percent, moved.gpu_percent)
    old.layer = min(one.layer for one in staying)
