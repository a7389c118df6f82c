"""Hosts on machines: nothing is given twice, and each goes to the first machine with room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tandem.fleet.v1.machine_pb2 import Gpu, Machine
from tandem.fleet.v1.profile_pb2 import Pool
from tandemkit.fleet import asks
from tandemkit.fleet.hosts import WantedHost
from tandemkit.fleet.stanzas import Stanza
from tandemkit.supervise.ledger import Ledger, PoolExhausted
from tandemkit.written.marked import Entry, Mistake
from tandemkit.written.pools import RESERVE, pool_name, scaled


@dataclass
class Room:
    """What one machine holds, and what it has left."""

    machine: Machine
    pools: Mapping[int, Pool]
    ledger: Ledger
    hosts: list[WantedHost] = field(default_factory=list)
    gpu_of: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, machine: Machine, pools: Iterable[Pool], scale: float) -> Room:
        """An empty machine."""
        by_kind: dict[int, Pool] = {pool.pool: pool for pool in pools}
        sizes = {pool_name(kind): scaled(pool, scale) for kind, pool in by_kind.items()}
        return cls(machine, by_kind, Ledger(sizes, RESERVE))

    def gpu_planned(self, gpu: str) -> int:
        """Percent of it that hosts have."""
        return sum(host.gpu_percent for host in self.hosts if self.gpu_of.get(host.name) == gpu)

    def gpu_free(self, gpu: Gpu) -> int:
        """Percent of it that is left."""
        return 100 - gpu.reserved_percent - self.gpu_planned(gpu.name)

    def gpu_for(self, host: WantedHost) -> str | None:
        """The first GPU with room; empty where none is needed or the machine has none at all."""
        if not host.gpu_percent or not self.machine.gpus:
            return ""
        fitting = (one.name for one in self.machine.gpus if self.gpu_free(one) >= host.gpu_percent)
        return next(fitting, None)

    def take(self, host: WantedHost) -> Mistake | None:
        """Gives it all that it asks, or nothing and says why."""
        gpu = self.gpu_for(host)
        if gpu is None:
            return self._no_gpu(host)
        refused = self._too_many(host)
        if refused is None:
            try:
                wanted = {pool_name(pool): mib for pool, mib in host.asks_mib().items()}
                self.ledger.grant(host.name, wanted)
            except PoolExhausted as exhausted:
                return self._no_memory(host, exhausted)
            self.hosts.append(host)
            self.gpu_of[host.name] = gpu
        return refused

    def _no_gpu(self, host: WantedHost) -> Mistake:
        best = max(self.machine.gpus, key=self.gpu_free)
        free = self.gpu_free(best)
        others = [
            f"{one.name} {one.gpu_percent}"
            for one in self.hosts
            if self.gpu_of.get(one.name) == best.name
        ]
        if best.reserved_percent:
            others.append(f"reserved {best.reserved_percent}")
        held = f" (of 100: {', '.join(others)})" if others else ""
        said = (
            f"host `{host.name}` asks for {host.gpu_percent} % of a GPU, and {best.name} of "
            f"{self.machine.name} has {free} % left{held}: {host.gpu_percent - free} too many"
        )
        part = max(host.parts, key=lambda one: one.group.fields.gpu_percent)
        if part.group.fields.gpu_percent:
            return part.group.mistake("gpu_percent", said)
        most = max(host.members, key=lambda one: int(one.fields.gpu_percent))
        return most.entry.mistake("gpu_percent", said)

    def _no_memory(self, host: WantedHost, exhausted: PoolExhausted) -> Mistake:
        """At the agent that asks for most, as it is where least is needed to mend it."""
        inside = [one for one in host.members if pool_name(asks.pool(one.fields)) == exhausted.pool]
        parts = [f"{one.fields.name} {asks.agent_memory_mib(one.fields)}" for one in inside]
        if pool_name(host.pool) == exhausted.pool:
            parts.insert(0, f"the process {host.own_mib}")
        too_many = exhausted.asked - exhausted.free
        said = (
            f"host `{host.name}` asks for {exhausted.asked} MiB ({', '.join(parts)}) of the "
            f"pool `{exhausted.pool}` of {self.machine.name}, which has {exhausted.free} of "
            f"{exhausted.size} left: ask for {too_many} less, or make the pool bigger by "
            "`memory_scale` of the profile"
        )
        if not inside:
            return host.parts[0].group.mistake("memory_mib", said)
        most = max(inside, key=lambda one: asks.agent_memory_mib(one.fields))
        return most.entry.mistake("memory_mib", said)

    def _too_many(self, host: WantedHost) -> Mistake | None:
        for kind in sorted(host.asks_mib()):
            most = self.pools[kind].hosts_max if kind in self.pools else 0
            held = sum(kind in one.asks_mib() for one in self.hosts)
            if most and held >= most:
                said = (
                    f"{held} processes of {self.machine.name} hold agents of the pool "
                    f"`{pool_name(kind)}`, whose `hosts_max` is {most}, and `{host.name}` would be "
                    "one more: let groups share a `host`"
                )
                return host.parts[0].placed.mistake("group", said)
        return None


def place(hosts: Iterable[WantedHost], rooms: Mapping[str, Room]) -> Iterator[Mistake]:
    """Fills the rooms, the biggest hosts first. Yields a mistake for each that fits nowhere."""
    for host in sorted(hosts, key=_biggest_first):
        refusals = []
        for room in _preferred(host, rooms):
            refused = room.take(host)
            if refused is None:
                break
            refusals.append(refused)
        else:
            # What the machine that it should have gone to first lacks is what there is to mend.
            yield from refusals[:1]


def on_cpu(room: Room) -> Iterator[Stanza]:
    """Agents that were given no GPU, for the machine has none."""
    for host in room.hosts:
        if not room.gpu_of.get(host.name):
            yield from (one for one in host.members if one.fields.gpu_percent)


def over_machine(entry: Entry[Machine], pools: Iterable[Pool], scale: float) -> str:
    """What is wrong with the pools' sizes on this machine; empty where nothing is."""
    size_mib = sum(scaled(pool, scale) for pool in pools)
    has_mib = entry.fields.memory_mib
    if size_mib <= has_mib:
        return ""
    fitting = int(has_mib / size_mib * scale * 1000) / 1000
    return (
        f"at {scale:g} the pools hold {size_mib} MiB, and {entry.fields.name} has {has_mib}: "
        f"{size_mib - has_mib} too many; {fitting:g} fits"
    )


def _biggest_first(host: WantedHost) -> tuple[int, int, str]:
    return (-host.gpu_percent, -sum(host.asks_mib().values()), host.name)


def _preferred(host: WantedHost, rooms: Mapping[str, Room]) -> list[Room]:
    """Machines with fewest replicas of it, then the dearest. The CPU stands in where none has a
    GPU, never where a GPU is full: that is for people to decide.
    """
    allowed = [rooms[name] for name in host.machines]
    if host.gpu_percent:
        allowed = [room for room in allowed if room.machine.gpus] or allowed
    return sorted(allowed, key=lambda room: sum(one.bundle == host.bundle for one in room.hosts))
