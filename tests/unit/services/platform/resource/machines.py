"""A machine with four agents in three hosts, as its supervisor tells of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.platform.resource.scene import Scene
from tandem.control.v1 import machine_pb2 as control
from tandem.fleet.v1 import plan_pb2 as plan
from tandem.fleet.v1 import resources_pb2 as fleet

# By agent: its host, its priority, and its memory in MiB.
AGENTS = {
    "store": ("base", fleet.PRIORITY_ESSENTIAL, 50),
    "guard": ("vital", fleet.PRIORITY_CRITICAL, 30),
    "tell": ("light", fleet.PRIORITY_STANDARD, 20),
    "sum": ("light", fleet.PRIORITY_STANDARD, 10),
}
_POOLS = {
    fleet.PRIORITY_ESSENTIAL: fleet.MEMORY_POOL_INFRASTRUCTURE,
    fleet.PRIORITY_CRITICAL: fleet.MEMORY_POOL_CRITICAL,
    fleet.PRIORITY_STANDARD: fleet.MEMORY_POOL_STANDARD,
}
_SIZES_MIB = {
    fleet.MEMORY_POOL_INFRASTRUCTURE: 100,
    fleet.MEMORY_POOL_CRITICAL: 60,
    fleet.MEMORY_POOL_STANDARD: 50,
    fleet.MEMORY_POOL_MONITORING: 10,
    fleet.MEMORY_POOL_EMERGENCY_RESERVE: 10,
}
OWN_MIB = 5


def planned(sizes_mib: Mapping[fleet.MemoryPool.ValueType, int] | None = None) -> plan.Plan:
    """One machine, `box`, with one GPU."""
    found = plan.Plan(profile="small")
    machine = found.machines.add(name="box", cpu_cores=4, memory_mib=1024)
    machine.gpus.add(name="gpu0", memory_mib=1000, reserved_percent=10)
    for pool, size_mib in (sizes_mib or _SIZES_MIB).items():
        machine.pools.add(pool=pool, memory_mib=size_mib)
    for name, (host, priority, memory_mib) in AGENTS.items():
        if not machine.hosts or machine.hosts[-1].name != host:
            machine.hosts.add(name=host, memory_mib=OWN_MIB, pool=_POOLS[priority])
        machine.hosts[-1].memory_mib += memory_mib
        agent = machine.hosts[-1].agents.add(name=name, memory_mib=memory_mib)
        agent.pool, agent.priority = _POOLS[priority], priority
    machine.hosts[-1].gpu, machine.hosts[-1].gpu_percent = "gpu0", 30
    return found


def told(suspended: Collection[str] = (), pids: Mapping[str, int] | None = None) -> control.Machine:
    """Every host has a process, and every other agent serves."""
    found = control.Machine(name="box", profile="small", generation=3)
    for name, (host, _, _) in AGENTS.items():
        if not found.hosts or found.hosts[-1].host != host:
            found.hosts.add(host=host, pid=(pids or {}).get(host, 1))
        state = control.AGENT_STATE_SERVING
        if name in suspended:
            state = control.AGENT_STATE_SUSPENDED
        found.hosts[-1].agents.add(name=name, state=state)
    return found


def scene(suspended: Collection[str] = ()) -> Scene:
    """At that moment."""
    return Scene(told(suspended), planned().machines[0])
