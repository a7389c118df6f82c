"""Names of what runs, and that they go with their owners."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.roll.hybrid import Migration, MigrationOver
from tandemkit.supervise.roll.owners import NoSuchProcess
from tandemkit.supervise.roll.protocol import Key
from tandemkit.supervise.roll.registry import (
    HISTORY_MAX,
    Changed,
    Event,
    Kind,
    NameTaken,
    ProcessRegistry,
    Removed,
    Snapshot,
)
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

KEY = Key("workers", "one")


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=list(Kind))
async def registry(
    request: pytest.FixtureRequest, clock: FakeClock
) -> AsyncIterator[ProcessRegistry]:
    found = ProcessRegistry(clock, request.param)
    yield found
    found.close()


def sleeper(log: Path) -> Command:
    return Command((sys.executable, "-c", "import time; time.sleep(600)"), log)


async def next_of(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(10):
        return await anext(events)


async def test_a_task_is_found_until_it_is_over(registry: ProcessRegistry) -> None:
    """With what it is reached by; nobody else can have its name meanwhile."""
    stop = asyncio.Event()
    async with Tasks() as tasks:
        tasks.spawn("worker", _work(registry, stop))
        async with aclosing(registry.watch()) as events:
            assert await next_of(events) == Snapshot((), 0)
            changed = await next_of(events)
            assert isinstance(changed, Changed)
            found = registry.find(*KEY)
            assert found is changed.entry
            assert (found.owner.pid, found.owner.task, found.value) == (os.getpid(), "worker", stop)
            with pytest.raises(NameTaken, match="has the name"):
                registry.register_process(KEY, os.getpid())
            stop.set()
            assert await next_of(events) == Removed(KEY, 2)
    assert registry.find(*KEY) is None


async def _work(registry: ProcessRegistry, stop: asyncio.Event) -> None:
    task = asyncio.current_task()
    assert task is not None
    registry.register_task(KEY, task, stop)
    await stop.wait()


async def test_m004_a_process_takes_its_names_along(
    registry: ProcessRegistry, tmp_path: Path
) -> None:
    """However it ends; to register it twice changes nothing."""
    other = Key("others", "two")
    async with supervised_process(sleeper(tmp_path / "log")) as process:
        first = registry.register_process(KEY, process.pid, "127.0.0.1:7000")
        registry.register_process(other, process.pid)
        assert registry.register_process(KEY, process.pid, "127.0.0.1:7000") == first
        assert [one.key for one in registry.listed()] == [other, KEY]
        async with aclosing(registry.watch("workers")) as events:
            snapshot = await next_of(events)
            assert isinstance(snapshot, Snapshot)
            os.kill(process.pid, 9)
            assert isinstance(await next_of(events), Removed)
    assert registry.listed() == ()


async def test_a_name_given_back_is_free(registry: ProcessRegistry, tmp_path: Path) -> None:
    """And the end of who had it takes nothing from who has it now."""
    async with supervised_process(sleeper(tmp_path / "log")) as process:
        registry.register_process(KEY, process.pid)
        assert registry.deregister(KEY)
        assert not registry.deregister(KEY)
        mine = registry.register_process(KEY, os.getpid())
    assert registry.find(*KEY) is mine


async def test_only_who_still_runs_gets_a_name_back(
    registry: ProcessRegistry, clock: FakeClock, tmp_path: Path
) -> None:
    """A number that belongs to another process by now does not count, nor does one of before."""
    async with supervised_process(sleeper(tmp_path / "log")) as process:
        entry = registry.register_process(KEY, process.pid)
        later = ProcessRegistry(clock)
        for owner in (
            replace(entry.owner, started_ticks=entry.owner.started_ticks - 1),
            replace(entry.owner, boot="another"),
        ):
            with pytest.raises(NoSuchProcess):
                later.restore(replace(entry, owner=owner))
        assert later.restore(entry).since == entry.since
        assert later.find(*KEY) == entry
        later.close()
    with pytest.raises(NoSuchProcess):
        later.restore(entry)
    with pytest.raises(NoSuchProcess):
        registry.register_process(KEY, process.pid)


async def test_backends_change_at_run_time(registry: ProcessRegistry, clock: FakeClock) -> None:
    """Nobody loses a name over it, nor a watcher its place."""
    mine = registry.register_process(KEY, os.getpid())
    async with aclosing(registry.watch()) as events:
        await next_of(events)
        for kind in (Kind.CACHED, Kind.PLAIN, Kind.CACHED):
            registry.use(kind)
            assert registry.kind is kind
            assert registry.find(*KEY) is mine
        registry.deregister(KEY)
        assert await next_of(events) == Removed(KEY, 2)


async def test_m004_a_migration_has_an_owner_and_an_end(
    registry: ProcessRegistry, clock: FakeClock
) -> None:
    """Past which it is an error that names who forgot it."""
    flag = Migration("ana", clock.now() + timedelta(days=1))
    registry.use(Kind.CACHED, flag)
    registry.use(Kind.CACHED, flag)
    mine = registry.register_process(KEY, os.getpid())
    assert registry.find(*KEY) is mine
    assert registry.disagreements == 0
    await registry.check()
    await clock.advance(86_400)
    with pytest.raises(MigrationOver, match="ana"):
        await registry.check()
    registry.use(Kind.CACHED)
    await registry.check()
    assert registry.find(*KEY) is mine


async def test_a_watcher_that_fell_behind_gets_all_again(registry: ProcessRegistry) -> None:
    """Rather than a gap, and rather than a queue that grows."""
    async with aclosing(registry.watch()) as events:
        await next_of(events)
        for number in range(HISTORY_MAX + 1):
            registry.register_process(Key("workers", str(number)), os.getpid())
        snapshot = await next_of(events)
        assert isinstance(snapshot, Snapshot)
        assert len(snapshot.entries) == HISTORY_MAX + 1


@pytest.mark.parametrize("name", ["", "a/b", "ä", "x" * 129])
async def test_a_name_that_is_none_is_refused(registry: ProcessRegistry, name: str) -> None:
    """Before anything is watched."""
    with pytest.raises(ValueError, match="not a name"):
        registry.register_process(Key("workers", name), os.getpid())
    assert registry.listed() == ()
