"""Instances that cannot renew themselves, and who holds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.platform.service_registry.leases import KEPT_TTL_S, Keeper, LeaseEnded
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

ONE = pb.ServiceInstance(service="ollama", id="one", host="127.0.0.1", port=1)
KEY = "services/ollama/one"


class Registry:
    """Leases by their ids, as a registry has them."""

    def __init__(self) -> None:
        self.alive: dict[str, str] = {}
        self.renewals: list[str] = []
        self.refused: set[str] = set()
        self.away = False
        self._opened = 0

    async def open(self, instance: pb.ServiceInstance, ttl_s: float) -> registry.RegistrationLease:
        self._answer()
        self._opened += 1
        lease = registry.RegistrationLease(key=KEY, id=str(self._opened))
        self.alive[lease.id] = instance.id
        return lease

    async def renew(self, lease: registry.RegistrationLease) -> None:
        self._answer()
        if lease.id in self.refused:
            raise Unreachable("not this one")
        if lease.id not in self.alive:
            raise LeaseEnded
        self.renewals.append(lease.id)

    async def close(self, lease: registry.RegistrationLease) -> None:
        self.alive.pop(lease.id, None)

    def _answer(self) -> None:
        if self.away:
            raise Unreachable("away")


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        yield State(store)


@asynccontextmanager
async def keeping(leases: Registry, state: State, clock: FakeClock) -> AsyncIterator[Keeper]:
    keeper = Keeper(leases, state, clock)
    await keeper.load()
    async with Tasks() as tasks:
        tasks.spawn("kept", keeper.run())
        yield keeper


async def rounds(clock: FakeClock, count: int) -> None:
    """Time for so many rounds of renewals, disk and all."""
    for _ in range(count):
        await clock.advance(KEPT_TTL_S / 3)
        await asyncio.to_thread(lambda: None)


async def until(clock: FakeClock, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await rounds(clock, 1)


async def test_what_is_kept_is_renewed_and_goes_on_in_the_next_life(state: State) -> None:
    """By the same lease, so nobody sees a gap."""
    leases, clock = Registry(), FakeClock()
    async with keeping(leases, state, clock) as keeper:
        await keeper.keep(ONE)
        await until(clock, lambda: len(leases.renewals) > 1)
    leases.renewals.clear()
    async with keeping(leases, state, clock):
        await until(clock, lambda: len(leases.renewals) > 1)
    assert set(leases.renewals) == {"1"}


async def test_a_lease_that_ran_out_is_opened_anew(state: State) -> None:
    """We were away for longer than it lasts; a registry that is away costs a round, no more."""
    leases, clock = Registry(), FakeClock()
    async with keeping(leases, state, clock) as keeper:
        await keeper.keep(ONE)
        leases.alive.clear()
        leases.away = True
        await rounds(clock, 3)
        leases.away = False
        await until(clock, lambda: "2" in leases.renewals)
        assert leases.alive == {"2": "one"}


async def test_what_one_lets_go_of_another_one_does_not_bring_back(state: State) -> None:
    """Two agents whose fleet keeps its state in one database."""
    leases, clock = Registry(), FakeClock()
    async with keeping(leases, state, clock) as here, keeping(leases, state, clock) as there:
        await here.keep(ONE)
        await until(clock, lambda: KEY in there._kept)
        lease = await there.let_go(KEY)
        assert lease is not None
        await leases.close(lease)
        await rounds(clock, 10)
        assert leases.alive == {}


async def test_one_that_cannot_be_held_costs_the_others_nothing(state: State) -> None:
    """Whichever comes first, the others are renewed."""
    leases, clock = Registry(), FakeClock()
    async with keeping(leases, state, clock) as keeper:
        await keeper.keep(ONE)
        await keeper.keep(pb.ServiceInstance(service="ollama", id="two", host="h", port=2))
        leases.refused = {"1"}
        await until(clock, lambda: "2" in leases.renewals)


async def test_what_is_let_go_while_it_is_renewed_does_not_come_back(state: State) -> None:
    """Its lease has ended because nobody wants it, and not because we were away."""
    leases = Registry()
    keeper = Keeper(leases, state, FakeClock())
    await keeper.keep(ONE)
    held = keeper._kept[KEY]
    await keeper.let_go(KEY)
    await leases.close(held.lease)
    # As `load` leaves it, where it read before the note went.
    keeper._kept[KEY] = held
    await keeper._renew(KEY, held)
    assert leases.alive == {}
