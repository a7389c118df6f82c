"""What a machine has to give, and what its plan gives away already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tandem.fleet.v1.plan_pb2 import PlannedHost, PlannedMachine
from tandem.fleet.v1.profile_pb2 import Pool
from tandem.platform.v1.resource_pb2 import ResourceAmounts
from tandemkit.written.pools import pool_name, scaled

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """What the plan gives one host or agent."""

    holder: str
    amounts: ResourceAmounts


@dataclass(frozen=True)
class Capacity:
    """Sizes by name: pools in MiB, cores in thousandths, GPUs in percent."""

    source: str
    pools_mib: Mapping[str, int]
    cores_milli: int
    gpus_percent: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()


def planned(machine: PlannedMachine, source: str) -> Capacity:
    """Of a machine whose supervisor executes this plan."""
    return Capacity(
        source,
        {pool_name(one.pool): one.memory_mib for one in machine.pools},
        machine.cpu_cores * MILLI,
        {one.name: 100 - one.reserved_percent for one in machine.gpus},
        tuple(claim for host in machine.hosts for claim in _claims(host, machine.name)),
    )


def unplanned(
    pools: Mapping[int, Pool], scale: float, memory_mib: int, cores_milli: int
) -> Capacity:
    """Of a machine without one: all pools, smaller where they would not fit."""
    whole_mib = sum(scaled(pool, 1.0) for pool in pools.values())
    # Rounded down to a number that a profile might say.
    used = scale or min(1.0, int(memory_mib / max(whole_mib, 1) * 100) / 100)
    sizes = {pool_name(kind): scaled(pool, used) for kind, pool in pools.items()}
    return Capacity(f"pools.yaml at {used:g}, without a plan", sizes, cores_milli)


def _claims(host: PlannedHost, machine: str) -> Iterator[Claim]:
    """The process itself has what its agents leave of its memory, and its share of the GPU."""
    own_mib = host.memory_mib - sum(agent.memory_mib for agent in host.agents)
    cores = max(0.0, host.cpus_max - sum(agent.cpus_max for agent in host.agents))
    own = ResourceAmounts(pool=host.pool, memory_mib=own_mib, cores=cores)
    own.gpu, own.gpu_percent = host.gpu, host.gpu_percent
    yield Claim(f"hosts/{machine}-{host.name}", own)
    for agent in host.agents:
        memory = ResourceAmounts(pool=agent.pool, memory_mib=agent.memory_mib, cores=agent.cpus_max)
        yield Claim(agent.name, memory)
