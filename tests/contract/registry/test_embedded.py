"""The embedded registry keeps the promises of every registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.core.lock import InUse
from tandemkit.reach.failure import Unreachable
from tandemkit.registry.embedded import EmbeddedRegistry, embedded_registry
from tandemkit.registry.protocol import LeaseLost, Versioned
from tests.contract.registry.case import Restartable, watching
from tests.contract.registry.embedded_case import EmbeddedCase, JumpingClock, embedded_case
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.suite import RegistrySuite, RestartSuite


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[EmbeddedCase]:
    async with embedded_case(tmp_path) as case:
        yield case


class TestEmbedded(RegistrySuite, RestartSuite):
    """Here a network has nothing to cut, and the wall clock jumps all the time."""

    @pytest.fixture
    def case(self, case: EmbeddedCase) -> Restartable:
        return case


class LateClock(JumpingClock):
    """Wakes its first sleeper late, as a process does that was stopped meanwhile."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self._late_s = late_s

    async def sleep(self, duration_s: float) -> None:
        late_s, self._late_s = self._late_s, 0.0
        await super().sleep(duration_s + late_s)


async def test_a_folder_has_one_registry(case: EmbeddedCase) -> None:
    """A second control on the same files is refused, and the first one goes on."""
    registry = await case.open()
    with pytest.raises(InUse):
        async with embedded_registry(case.folder, case.clock):
            pass
    assert await registry.put("policy", b"") > 0


async def test_a_lease_of_before_a_kill_is_held(case: EmbeddedCase) -> None:
    """After a restart a host has one whole time to live to renew, and its registrations stand."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", case.ttl_s)
    await registry.register(lease, "agents/one", b"a")
    await case.clock.sleep(case.ttl_s * 0.9)
    await case.kill_and_restart()
    registry = await case.open()
    async with watching(case, registry) as watched:
        assert watched.values() == {"agents/one": b"a"}
        await case.clock.sleep(case.ttl_s * 0.9)
        await registry.renew(lease)
        await case.clock.sleep(case.ttl_s * 0.9)
        assert len(watched.events) == 1


async def test_what_ended_before_a_kill_does_not_come_back(case: EmbeddedCase) -> None:
    """A restart revives neither a registration that was removed nor a lease that ran out."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    dead = await registry.open_lease("host-b", case.ttl_s)
    await registry.register(lease, "removed", b"")
    await registry.register(lease, "stays", b"")
    await registry.register(dead, "dead", b"")
    await registry.deregister(lease, "removed")
    await case.clock.sleep(case.ttl_s)
    await case.kill_and_restart()
    registry = await case.open()
    async with watching(case, registry) as watched:
        assert set(watched.view) == {"stays"}
    with pytest.raises(LeaseLost):
        await registry.renew(dead)


async def test_the_newest_lease_wins_after_a_restart_too(case: EmbeddedCase) -> None:
    """Which lease was opened later is not forgotten."""
    registry = await case.open()
    older = await registry.open_lease("host-a", LONG_TTL_S)
    newer = await registry.open_lease("host-b", LONG_TTL_S)
    await registry.register(newer, "agents/one", b"b")
    await case.kill_and_restart()
    registry = await case.open()
    await registry.register(older, "agents/one", b"a")
    newest = await registry.open_lease("host-c", LONG_TTL_S)
    await registry.register(newest, "agents/two", b"c")
    await registry.register(newer, "agents/two", b"b")
    async with watching(case, registry) as watched:
        assert watched.values() == {"agents/one": b"b", "agents/two": b"c"}


async def test_a_leader_of_before_a_kill_leads(case: EmbeddedCase) -> None:
    """A leader has one whole time to keep it after a restart, and no rival is elected in it."""
    registry = await case.open()
    leader = await registry.elect("planner", "control-a", case.ttl_s)
    assert leader is not None
    await case.kill_and_restart()
    registry = await case.open()
    await case.clock.sleep(case.ttl_s * 0.9)
    assert await registry.elect("planner", "control-b", LONG_TTL_S) is None
    await registry.keep(leader)


async def test_who_resigned_before_a_kill_is_gone(case: EmbeddedCase) -> None:
    """The room that a leader made is there after a restart."""
    registry = await case.open()
    leader = await registry.elect("planner", "control-a", LONG_TTL_S)
    assert leader is not None
    await registry.resign(leader)
    await case.kill_and_restart()
    registry = await case.open()
    assert await registry.elect("planner", "control-b", LONG_TTL_S) is not None


async def test_a_control_that_was_stopped_evicts_nobody(tmp_path: Path) -> None:
    """Renewals that lay unread while the process was stopped count: hosts get their time again."""
    clock = LateClock(late_s=30.0)
    async with embedded_registry(tmp_path, clock) as registry:
        lease = await registry.open_lease("host-a", 3.0)
        await clock.advance(35.9)
        await registry.renew(lease)
        await clock.advance(3.0)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)


async def test_a_stopped_control_still_ends_the_dead(tmp_path: Path) -> None:
    """Whoever does not use the time that it got again is gone after it."""
    clock = LateClock(late_s=30.0)
    async with embedded_registry(tmp_path, clock) as registry:
        lease = await registry.open_lease("host-a", 3.0)
        await clock.advance(36.0)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)


async def test_a_damaged_journal_costs_leases_and_no_values(case: EmbeddedCase) -> None:
    """Hosts begin anew; what was stored is there, and revisions and tokens go on."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    version = await registry.put("policy", b"one")
    await case.kill_and_restart()
    for journal in case.folder.glob("leases.sqlite*"):
        journal.write_bytes(b"this is no database, and long enough to be read as one" * 200)
    registry = await case.open()
    assert await registry.get("policy") == Versioned(b"one", version)
    with pytest.raises(LeaseLost):
        await registry.renew(lease)
    await registry.open_lease("host-a", LONG_TTL_S)


async def test_a_full_disk_refuses_writes_and_keeps_hosts(case: EmbeddedCase) -> None:
    """A value that does not fit leaves the former one; leases live on without their journal, which
    is gone then rather than wrong.
    """
    registry = await case.open()
    assert isinstance(registry, EmbeddedRegistry)
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    await registry.register(lease, "agents/one", b"a")
    version = await registry.put("policy", b"one")
    for database in (registry._store._writer, registry._journal._database):
        assert database is not None
        database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Unreachable):
        await registry.put("policy", b"x" * 100_000)
    assert await registry.get("policy") == Versioned(b"one", version)
    await registry.register(lease, "agents/two", b"x" * 100_000)
    await registry.deregister(lease, "agents/one")
    async with watching(case, registry) as watched:
        assert set(watched.view) == {"agents/two"}
    await case.kill_and_restart()
    registry = await case.open()
    with pytest.raises(LeaseLost):
        await registry.renew(lease)
    assert await registry.get("policy") == Versioned(b"one", version)


async def test_a_writer_who_gives_up_leaves_nothing_half_done(case: EmbeddedCase) -> None:
    """A cancelled write or election happened or did not, and those after it are in order."""
    registry = await case.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await registry.put("policy", b"given up")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await registry.elect("planner", "control-a", LONG_TTL_S)
    assert await registry.elect("planner", "control-b", LONG_TTL_S) is None
    leader = await registry.elect("planner", "control-a", LONG_TTL_S)
    assert leader is not None
    assert leader.token == 2
    await registry.keep(leader)
    version = await registry.put("policy", b"later", leadership=leader)
    assert await registry.get("policy") == Versioned(b"later", version)
