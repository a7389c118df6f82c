"""A fleet of warm hosts that exist in memory alone, and an agent pool on them."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc

from services.platform.agent_pool.allocating import Allocating
from services.platform.agent_pool.books import Books
from services.platform.agent_pool.hosts import Hosts
from services.platform.agent_pool.placing import Scene
from services.platform.agent_pool.pools import Pools
from services.platform.agent_pool.tending import Tending
from tandem.control.v1 import machine_pb2 as machine
from tandem.control.v1 import registration_pb2 as control
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandem.platform.config.v1 import agent_pool_pb2 as cfg
from tandem.platform.v1.allocation_pb2 import Allocation
from tandemkit.machine.asking import HostRefused
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.testing.clock import FakeClock

SERVICE = "tandem.tale.v1.TellService"
IDLE_MIN_S, AWAY_MAX_S = 1.0, 5.0
_PORT = 7000


@dataclass
class FakeFleet:
    """Hosts by number, what each serves, and how their instances are; the real thing is met in
    tests/cluster.
    """

    clock: FakeClock
    hosts_up: set[int] = field(default_factory=set)
    served: dict[int, dict[str, machine.AgentStanding]] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)
    programs: set[str] = field(default_factory=lambda: {SERVICE})
    unbuildable: str = ""
    deeds: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    _streams: list[asyncio.Queue[registry.WatchHostsResponse]] = field(default_factory=list)

    def start(self, *numbers: int) -> None:
        """Hosts come up, empty."""
        for number in numbers:
            self.hosts_up.add(number)
            self.served[number] = {}
            self._changed(number)

    def kill(self, number: int) -> None:
        """A host is gone, with all that was added."""
        self.hosts_up.discard(number)
        self.served[number] = {}
        for one in self._streams:
            removed = registry.WatchHostsResponse.Removed(host=self.name(number))
            one.put_nowait(registry.WatchHostsResponse(removed=removed))

    def call(self, name: str, *, in_progress: int = 0) -> None:
        """Somebody calls the instance."""
        for served in self.served.values():
            if name in served:
                served[name].last_call_time.FromDatetime(self.clock.now())
                served[name].calls_in_progress = in_progress

    def fail(self, name: str) -> None:
        """The instance fails, and is gone."""
        for number, served in self.served.items():
            if served.pop(name, None) is not None:
                self._changed(number)

    def where(self, name: str) -> list[int]:
        return [number for number, served in self.served.items() if name in served]

    @staticmethod
    def name(number: int) -> str:
        return f"hosts/laptop-pool-{number}"

    async def hosts(self) -> AsyncGenerator[registry.WatchHostsResponse, None]:
        queue: asyncio.Queue[registry.WatchHostsResponse] = asyncio.Queue()
        self._streams.append(queue)
        known = registry.WatchHostsResponse.Snapshot(hosts=map(self._host, sorted(self.hosts_up)))
        yield registry.WatchHostsResponse(snapshot=known)
        while True:
            yield await queue.get()

    async def leads(self, host: str, service: str, name: str) -> bool:
        return True

    async def add(self, address: str, agent: PlannedAgent) -> machine.AgentStanding:
        number = self._number(address)
        if self.hold is not None:
            await self.hold.wait()
        if agent.service not in self.programs:
            raise _refused(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_IN_PROGRAM")
        if self.unbuildable:
            raise _refused(grpc.StatusCode.UNAVAILABLE, "AGENT_UNBUILT", cause=self.unbuildable)
        if agent.name not in self.served[number]:
            self.deeds.append(f"+{agent.name}")
        standing = machine.AgentStanding(name=agent.name, service=agent.service, added=True)
        self.served[number].setdefault(agent.name, standing)
        self._changed(number)
        return standing

    async def remove(self, address: str, name: str) -> None:
        number = self._number(address)
        if self.served[number].pop(name, None) is not None:
            self.deeds.append(f"-{name}")
            self._changed(number)

    async def look(self, address: str) -> Sequence[machine.AgentStanding]:
        return list(self.served[self._number(address)].values())

    def _number(self, address: str) -> int:
        number = int(address.rpartition(":")[2]) - _PORT
        if number not in self.hosts_up or number in self.silent:
            raise _refused(grpc.StatusCode.UNAVAILABLE, "")
        return number

    def _host(self, number: int) -> control.Host:
        found = control.Host(
            name=self.name(number),
            machine="laptop",
            group="pool" if number == 1 else f"pool-{number}",
            address="127.0.0.1",
            port=_PORT + number,
        )
        for name in self.served[number]:
            found.placements.add(service=SERVICE, instance=name, serving=True)
        return found

    def _changed(self, number: int) -> None:
        for one in self._streams:
            changed = registry.WatchHostsResponse.Changed(host=self._host(number))
            one.put_nowait(registry.WatchHostsResponse(changed=changed))


def _refused(code: grpc.StatusCode, reason: str, **metadata: str) -> HostRefused:
    return HostRefused(RemoteFailure(code, "it does not", reason, metadata=metadata))


@dataclass
class Running:
    """One life of an agent pool."""

    fleet: FakeFleet
    books: Books
    allocating: Allocating
    errands: Errands = field(default_factory=Errands)
    refusals: list[Exception] = field(default_factory=list)

    def asks(self, suffix: str) -> Task[None]:
        """A call of somebody who may stop waiting; what it is refused is in `refusals`."""

        async def ask() -> None:
            error = await failure_of(self.allocating.allocate(wanted(suffix)))
            self.refusals += [error] if error else []

        return self.errands.start(ask())

    async def allocate(
        self, suffix: str, *, pinned: bool = False, lease_s: float = 0
    ) -> Allocation:
        asked = wanted(suffix, pinned=pinned)
        if lease_s:
            asked.lease.FromTimedelta(timedelta(seconds=lease_s))
        return (await self.allocating.allocate(asked)).allocation

    async def until(self, is_so: Callable[[], object]) -> None:
        """Returns when that holds; no time passes."""
        async with asyncio.timeout(10):
            while not is_so():
                await self.fleet.clock.advance(0)

    async def settle(self) -> None:
        """Everything that can happen without time does: what is on its way to the disk too."""
        for _ in range(30):
            await self.fleet.clock.advance(0)
            await asyncio.to_thread(lambda: None)


def wanted(suffix: str, *, pinned: bool = False) -> Allocation:
    return Allocation(name=f"tale-tell-{suffix}", service=SERVICE, pool="warm", pinned=pinned)


def settings(slots: int) -> cfg.AgentPoolSettings:
    pool = cfg.AgentPool(name="warm", group="pool", agents=["*"], slots_per_host=slots)
    return cfg.AgentPoolSettings(pools=[pool])


@asynccontextmanager
async def running(
    fleet: FakeFleet, folder: Path, *, slots: int = 2, most: int = 100
) -> AsyncIterator[Running]:
    """With the books that an earlier one left in the folder."""
    async with sqlite_state(folder / "books.sqlite") as store, Tasks() as tasks:
        books = Books(State(store))
        await books.restore()
        hosts = Hosts(fleet, fleet.clock, draw=lambda: 0.0)
        pools = Pools(settings(slots).pools)
        scene = Scene(pools, books, hosts, fleet, fleet.clock, IDLE_MIN_S, most)
        allocating = Allocating(scene)
        tasks.spawn("hosts", hosts.follow())
        tasks.spawn("tending", Tending(scene, allocating, AWAY_MAX_S).run())
        found = Running(fleet, books, allocating)
        await found.settle()
        try:
            yield found
        finally:
            await found.errands.end(grace_s=0)
            await allocating.end()
            await tasks.end()
