"""What is given away of a machine, in three ledgers: memory, cores, GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.platform.resource.capacity import MILLI, Capacity
from tandem.fleet.v1.resources_pb2 import MEMORY_POOL_STANDARD
from tandem.platform.v1.resource_pb2 import ResourceAmounts, ResourceGrant
from tandemkit.supervise.ledger import Ledger
from tandemkit.written.pools import RESERVE, pool_name

CORES = "cores"
PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One thing of which more is asked than is left."""

    resource: str
    asked: int
    free: int


class Short(Exception):
    """Not all that was asked is there, and nothing was given."""

    def __init__(self, shortfalls: tuple[Shortfall, ...]) -> None:
        super().__init__(", ".join(one.resource for one in shortfalls))
        self.shortfalls = shortfalls


class NoSuchGpu(LookupError):
    """A GPU that the machine does not have."""


class Accounts:
    """Each holder and use is one line in the books. The plan's claims are counted whether they fit
    or not: whoever executes the plan gave them.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.memory = Ledger(capacity.pools_mib, RESERVE)
        self.cores = Ledger({CORES: capacity.cores_milli}, unit="thousandths of a core")
        self.gpus = Ledger(capacity.gpus_percent, unit="%")
        for claim in capacity.claims:
            self.count(ResourceGrant(holder=claim.holder, use=PLAN, amounts=claim.amounts))

    def give(self, grant: ResourceGrant) -> None:
        """All that the grant asks, in place of what the same holder has for the same use. Raises
        Short and NoSuchGpu, and then that is kept. Fills in which GPU it is, and what is of the
        reserve.
        """
        if missing := self.missing(grant):
            raise Short(missing)
        self.take_back(grant)
        grant.amounts.gpu = self.gpu_for(grant.amounts)
        key = key_of(grant)
        pool = _pool(grant.amounts)
        asks = {pool: grant.amounts.memory_mib}
        self.memory.grant(key, asks, emergency=bool(grant.emergency))
        grant.reserve_mib = self.memory.held(key).get(RESERVE, 0)
        self.cores.grant(key, {CORES: milli(grant.amounts)})
        self.gpus.grant(key, _share(grant.amounts))

    def count(self, grant: ResourceGrant) -> None:
        """What somebody has already."""
        pool, reserve = _pool(grant.amounts), grant.reserve_mib
        memory = {pool: grant.amounts.memory_mib - reserve, RESERVE: reserve}
        self._count(key_of(grant), (memory, {CORES: milli(grant.amounts)}, _share(grant.amounts)))

    def take_back(self, grant: ResourceGrant) -> None:
        """All that the holder has for this use."""
        for ledger in (self.memory, self.cores, self.gpus):
            ledger.release(key_of(grant))

    def missing(self, wanted: ResourceGrant) -> tuple[Shortfall, ...]:
        """What would be short, if what the holder has for the use came back first. Raises
        NoSuchGpu.
        """
        before = self._lines(key_of(wanted))
        self.take_back(wanted)
        try:
            amounts = ResourceAmounts()
            amounts.CopyFrom(wanted.amounts)
            amounts.gpu = self.gpu_for(amounts)
            return tuple(self._missing(amounts, emergency=bool(wanted.emergency)))
        finally:
            self._count(key_of(wanted), before)

    def gpu_for(self, amounts: ResourceAmounts) -> str:
        """The one that is named, or that with most left; empty where no share is asked for."""
        known = self.capacity.gpus_percent
        if not amounts.gpu_percent:
            return ""
        if amounts.gpu and amounts.gpu not in known:
            raise NoSuchGpu(amounts.gpu)
        if not known:
            raise NoSuchGpu("")
        return amounts.gpu or max(known, key=self.gpus.free)

    def _missing(self, amounts: ResourceAmounts, *, emergency: bool) -> Iterator[Shortfall]:
        pool = _pool(amounts)
        free_mib = self.memory.free(pool)
        if emergency:
            free_mib = max(free_mib, 0) + max(self.memory.free(RESERVE), 0)
        asked_milli, free_milli = milli(amounts), self.cores.free(CORES)
        percent, free_percent = amounts.gpu_percent, self.gpus.free(amounts.gpu)
        if amounts.memory_mib > max(free_mib, 0):
            yield Shortfall(pool, amounts.memory_mib, free_mib)
        if asked_milli > max(free_milli, 0):
            yield Shortfall(CORES, asked_milli, free_milli)
        if percent > max(free_percent, 0):
            yield Shortfall(amounts.gpu, percent, free_percent)

    def _lines(self, key: str) -> tuple[Mapping[str, int], ...]:
        """What stands under the key in each ledger."""
        return tuple(ledger.held(key) for ledger in (self.memory, self.cores, self.gpus))

    def _count(self, key: str, lines: tuple[Mapping[str, int], ...]) -> None:
        for ledger, amounts in zip((self.memory, self.cores, self.gpus), lines, strict=True):
            ledger.count(key, amounts)


def key_of(grant: ResourceGrant) -> str:
    """Its line in the books and in the store."""
    return f"{grant.use}/{grant.holder}"


def milli(amounts: ResourceAmounts) -> int:
    """Cores in thousandths: sums of them are exact."""
    return round(amounts.cores * MILLI)


def _pool(amounts: ResourceAmounts) -> str:
    return pool_name(amounts.pool or MEMORY_POOL_STANDARD)


def _share(amounts: ResourceAmounts) -> dict[str, int]:
    return {amounts.gpu: amounts.gpu_percent} if amounts.gpu_percent else {}
