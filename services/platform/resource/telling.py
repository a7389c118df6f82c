"""How the machine stands, as the contract shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.platform.resource.accounts import CORES, PLAN, Accounts
from services.platform.resource.capacity import MILLI
from services.platform.resource.guard import Guard
from tandem.fleet.v1.resources_pb2 import MemoryPool
from tandem.platform.v1 import resource_pb2 as nouns
from tandem.platform.v1.resource_service_pb2 import (
    ForecastSuspensionsResponse,
    GetResourcesResponse,
)
from tandemkit.supervise.ledger import Ledger
from tandemkit.supervise.pressure import Suspension
from tandemkit.telemetry import machine
from tandemkit.telemetry.gpus import Gpus


def resources(accounts: Accounts, gpus: Gpus) -> GetResourcesResponse:
    """All of it, as of now."""
    found = GetResourcesResponse(
        source=accounts.capacity.source,
        pools=_pools(accounts),
        gpus=_gpus(accounts, gpus),
        gpus_absent=gpus.absent,
        memory=reading(),
    )
    planned, granted = _given(accounts.cores, CORES)
    found.cores.size = accounts.capacity.cores_milli / MILLI
    found.cores.planned, found.cores.granted = planned / MILLI, granted / MILLI
    found.cores.free = accounts.cores.free(CORES) / MILLI
    found.cores.load_1m = machine.cores().load_1m
    return found


def pressure(guard: Guard, absent: str) -> nouns.MemoryPressure:
    """`absent` is why no supervisor answers; empty where one does."""
    return nouns.MemoryPressure(
        over_mib=guard.strain.over_mib,
        spare_mib=guard.strain.spare_mib,
        cause=guard.strain.cause,
        guard_cause=absent or guard.cause,
        suspensions=guard.suspensions,
    )


def forecast(order: Iterable[Suspension]) -> ForecastSuspensionsResponse:
    """Whom it would take, and what that would free."""
    found = [
        nouns.MemorySuspension(
            agent=one.agent, host=one.host, memory_mib=one.memory_mib, priority=one.priority
        )
        for one in order
    ]
    freed_mib = sum(one.memory_mib for one in found)
    return ForecastSuspensionsResponse(suspensions=found, freed_mib=freed_mib)


def reading() -> nouns.MemoryReading:
    """What the kernel says; empty where it keeps no account."""
    try:
        memory = machine.memory()
    except machine.NoAccounts:
        return nouns.MemoryReading()
    return nouns.MemoryReading(
        limit_bytes=memory.limit_bytes,
        available_bytes=memory.available_bytes,
        bound=memory.bound,
        stalled_percent=memory.stalled_percent,
    )


def _pools(accounts: Accounts) -> Iterator[nouns.MemoryPoolAccount]:
    for name, number in sorted(MemoryPool.items(), key=lambda it: it[1]):
        pool = name.removeprefix("MEMORY_POOL_").lower()
        if number:
            planned, granted = _given(accounts.memory, pool)
            yield nouns.MemoryPoolAccount(
                pool=number,
                size_mib=accounts.memory.size(pool),
                planned_mib=planned,
                granted_mib=granted,
                free_mib=accounts.memory.free(pool),
            )


def _gpus(accounts: Accounts, read: Gpus) -> Iterator[nouns.GpuAccount]:
    """The plan's in their order, each with what the driver says of the one at its place; then those
    that no plan knows.
    """
    names = list(accounts.capacity.gpus_percent)
    names += [f"gpu{one.index}" for one in read.gpus[len(names) :]]
    for place, name in enumerate(names):
        planned, granted = _given(accounts.gpus, name)
        account = nouns.GpuAccount(
            gpu=name,
            size_percent=accounts.gpus.size(name),
            planned_percent=planned,
            granted_percent=granted,
            free_percent=accounts.gpus.free(name),
        )
        if place < len(read.gpus):
            gpu = read.gpus[place]
            account.model, account.memory_bytes = gpu.name, gpu.memory_bytes
            account.used_bytes = gpu.used_bytes
            if gpu.busy_percent is not None:
                account.busy_percent = gpu.busy_percent
        yield account


def _given(ledger: Ledger, pool: str) -> tuple[int, int]:
    """What is planned of it, and what is granted for a time."""
    held = [one for one in ledger.grants() if one.pool == pool]
    planned = sum(one.amount for one in held if one.holder.startswith(f"{PLAN}/"))
    return planned, sum(one.amount for one in held) - planned
