"""Grants while the disk is slow: callers give up, and plans change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.platform.resource.capacity import Capacity
from services.platform.resource.grants import Grants
from tandem.platform.v1.resource_pb2 import ResourceAmounts, ResourceGrant
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change, Changes, Entry, StateStore, Stored
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

POOL, CAPACITY = "standard", Capacity("a test", {"standard": 60}, 1000)
TERM_S = 30


class SlowDisk:
    """A store whose writes wait until a test lets them go on."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def get(self, key: str) -> Stored | None:
        return await self._store.get(key)

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = 100
    ) -> tuple[Entry, ...]:
        return tuple(await self._store.entries(prefix, after, limit))

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        return await self._store.scrub(thoroughly=thoroughly, upto=upto)

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        return await self._store.found(keys)

    async def changed(self, since: int = 0, limit: int = 1000) -> Changes:
        return await self._store.changed(since, limit)

    async def write(self, changes: Sequence[Change]) -> int:
        self.asked.set()
        await self.open.wait()
        return await self._store.write(changes)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SlowDisk]:
    async with sqlite_state(tmp_path / "grants.sqlite") as store:
        yield SlowDisk(store)


def grant() -> ResourceGrant:
    made = ResourceGrant(holder="a", use="model", amounts=ResourceAmounts(memory_mib=40))
    made.term.FromSeconds(TERM_S)
    return made


async def test_what_its_caller_gave_up_ends_with_its_term(disk: SlowDisk) -> None:
    """Nobody knows that he has it, so nobody would ever give it back."""
    clock = FakeClock()
    grants = Grants(CAPACITY, State(disk), clock)
    async with Tasks() as tasks:
        tasks.spawn("expire", grants.expire())
        async with asyncio.TaskGroup() as callers:
            caller = callers.create_task(grants.acquire(grant()))
            await disk.asked.wait()
            caller.cancel()
        disk.open.set()
        await clock.advance(TERM_S + 1)
        async with asyncio.timeout(10):
            while grants.accounts.memory.free(POOL) < CAPACITY.pools_mib[POOL]:
                await asyncio.to_thread(lambda: None)


async def test_what_is_granted_while_the_plan_changes_is_counted(disk: SlowDisk) -> None:
    """Else the next one is given the same memory."""
    grants = Grants(CAPACITY, State(disk), FakeClock())
    async with asyncio.TaskGroup() as callers:
        callers.create_task(grants.acquire(grant()))
        await disk.asked.wait()
        grants.resize(CAPACITY)
        disk.open.set()
    assert grants.accounts.memory.free(POOL) == CAPACITY.pools_mib[POOL] - 40
