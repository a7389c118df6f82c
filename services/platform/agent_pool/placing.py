"""Has hosts serve instances. Which slot one has is written first, and then it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from services.platform.agent_pool import refusal
from services.platform.agent_pool.books import ACTIVE, PLACING, SUSPENDED, Books
from services.platform.agent_pool.hosts import Hosts
from services.platform.agent_pool.pools import Pool, Pools
from services.platform.agent_pool.slots import Seen, fitting, free, longest_idle
from tandem.control.v1 import machine_pb2 as machine
from tandem.control.v1 import registration_pb2 as control
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandem.platform.v1.allocation_pb2 import Allocation
from tandemkit.core.clock import Clock
from tandemkit.machine.asking import HostRefused
from tandemkit.supervise.named_turns import NamedTurns

# Until the fleet knows where an instance is that its host serves.
_KNOWN_WITHIN_S = 3.0
# As hosts say it.
_DIFFERS = "INSTANCE_DIFFERS"


class Guests(Protocol):
    """What is asked of hosts, by their addresses. All raise HostRefused."""

    async def add(self, address: str, agent: PlannedAgent) -> machine.AgentStanding:
        """One more instance, or the one that is there."""

    async def remove(self, address: str, name: str) -> None:
        """Behind its calls in progress; harmless where there is none."""

    async def look(self, address: str) -> Sequence[machine.AgentStanding]:
        """Those that were added."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What allocating goes by. `idle_min_s` is how long an instance has to be idle before it may
    be suspended for another.
    """

    pools: Pools
    books: Books
    hosts: Hosts
    guests: Guests
    clock: Clock
    idle_min_s: float
    allocations_max: int
    turns: NamedTurns = field(default_factory=NamedTurns)


class Placing:
    """For whoever has the turn of the instance's name."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._picking = {pool.name: asyncio.Lock() for pool in scene.pools.all}
        # When an instance was last given to somebody, by the clock.
        self._given_s: dict[str, float] = {}

    def give(self, name: str) -> None:
        """Somebody is about to call it, who shall find it."""
        self._given_s[name] = self._scene.clock.monotonic_s()

    def forget(self, name: str) -> None:
        self._given_s.pop(name, None)

    async def place(self, wanted: Allocation, *, may_suspend: bool) -> None:
        """Has a host serve it, in the slot of another if need be. Raises CallerError,
        TransientError.
        """
        scene = self._scene
        pool = scene.pools.by_name.get(wanted.pool)
        if pool is None:
            raise refusal.away(wanted.pool, wanted.machine)
        async with self._picking[pool.name]:
            victim = await self._give_slot(pool, wanted, may_suspend=may_suspend)
        agent = PlannedAgent(
            name=wanted.name, service=wanted.service, memory_mib=pool.slot_memory_mib
        )
        try:
            if victim is not None:
                await scene.guests.remove(scene.hosts.address(victim.host), victim.name)
            standing = await self._add(scene.hosts.address(wanted.host), agent)
        except HostRefused as error:
            raise refusal.of_host(error, wanted.name, wanted.service) from error
        wanted.state, wanted.cause = ACTIVE, standing.cause
        self.give(wanted.name)
        await self.write(wanted)
        where = (wanted.host, wanted.service, wanted.name)
        await scene.hosts.until_reached(*where, _KNOWN_WITHIN_S)

    async def vacate(self, one: Allocation) -> None:
        """Takes it off its host. One that does not answer is tended to when it does."""
        address = self._scene.hosts.address(one.host)
        if address:
            with suppress(HostRefused):
                await self._scene.guests.remove(address, one.name)

    async def write(self, *changed: Allocation) -> None:
        with refusal.storing():
            await self._scene.books.write(*changed)

    async def _add(self, address: str, agent: PlannedAgent) -> machine.AgentStanding:
        """In place of another that has its name, which nobody allocated."""
        try:
            return await self._scene.guests.add(address, agent)
        except HostRefused as error:
            if error.reason != _DIFFERS:
                raise
        await self._scene.guests.remove(address, agent.name)
        return await self._scene.guests.add(address, agent)

    async def _give_slot(
        self, pool: Pool, wanted: Allocation, *, may_suspend: bool
    ) -> Allocation | None:
        """Writes down which it has from now on, and returns who has lost it for that."""
        scene = self._scene
        hosts = fitting(pool, scene.hosts.by_name.values(), wanted)
        if not hosts:
            raise refusal.away(pool.name, wanted.machine)
        has_one = wanted.state in {PLACING, ACTIVE} and any(
            one.name == wanted.host for one in hosts
        )
        host = wanted.host if has_one else free(pool, hosts, scene.books, wanted)
        if not host and not may_suspend:
            raise refusal.exhausted(pool.name, pool.slots_per_host * len(hosts), None)
        victim = None if host else await self._victim(pool, hosts)
        host = victim.host if victim is not None else host
        wanted.host, wanted.state = host, PLACING
        wanted.machine = scene.hosts.by_name[host].machine if host in scene.hosts.by_name else ""
        await self.write(wanted, *((victim,) if victim is not None else ()))
        return victim

    async def _victim(self, pool: Pool, hosts: Sequence[control.Host]) -> Allocation:
        """The one that was called longest ago, suspended."""
        scene = self._scene
        seen = await self._seen(hosts)
        candidates = (
            one
            for host in hosts
            for one in scene.books.on(host.name)
            if not scene.turns.is_taken(one.name)
        )
        pick = longest_idle(candidates, seen, scene.idle_min_s)
        if not pick.name:
            slots = pool.slots_per_host * len(hosts)
            raise refusal.exhausted(pool.name, slots, pick.wait_s)
        victim = scene.books.copy(pick.name)
        victim.state = SUSPENDED
        victim.suspensions += 1
        return victim

    async def _seen(self, hosts: Iterable[control.Host]) -> dict[str, Seen]:
        """All that hosts tell; one that does not answer has nobody who may be suspended."""
        addresses = [self._scene.hosts.address(one.name) for one in hosts]
        looks = await asyncio.gather(*map(self._look, addresses))
        return {one.name: self._idle(one) for told in looks for one in told}

    async def _look(self, address: str) -> Sequence[machine.AgentStanding]:
        with suppress(HostRefused):
            return await self._scene.guests.look(address)
        return ()

    def _idle(self, one: machine.AgentStanding) -> Seen:
        clock = self._scene.clock
        # Those of an earlier life of this agent were given just now, as far as it knows.
        given_s = self._given_s.setdefault(one.name, clock.monotonic_s())
        idle_s = clock.monotonic_s() - given_s
        if one.HasField("last_call_time"):
            called = clock.now() - one.last_call_time.ToDatetime(tzinfo=clock.now().tzinfo)
            idle_s = min(idle_s, max(0.0, called.total_seconds()))
        return Seen(one.calls_in_progress, idle_s)
