"""A Redis whose wall clock is set back and forward: expiry there is of wall time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.registry.protocol import Leadership, LeadershipLost, LeaseLost
from tests.cluster.eventually import eventually
from tests.contract.registry.case import until, watching
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.redis_case import RedisCase, redis_case

_HOUR_BACK = "-3600"
_HOUR_AHEAD = "+3600"


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """What is written here is how far the server's wall clock is off."""
    path = tmp_path / "offset"
    _set(path, "+0")
    return path


@pytest.fixture
async def case(offset: Path) -> AsyncIterator[RedisCase]:
    async with redis_case(offset) as case:
        yield case


async def test_a_clock_set_back_lets_no_dead_host_live_on(case: RedisCase, offset: Path) -> None:
    """An hour back a lease that nobody renews still ends in its time, and a renewed one stays."""
    registry = await case.open()
    left = await registry.open_lease("left", case.ttl_s)
    well = await registry.open_lease("well", LONG_TTL_S)
    await registry.register(left, "goes", b"")
    await registry.register(well, "stays", b"")
    async with watching(case, registry) as watched:
        _set(offset, _HOUR_BACK)
        await until(case, lambda: set(watched.view) == {"stays"})
    with pytest.raises(LeaseLost):
        await registry.renew(left)
    await registry.renew(well)


async def test_a_clock_set_back_keeps_no_dead_leader(case: RedisCase, offset: Path) -> None:
    """An hour back a leader who went silent is succeeded in its time, by one with a higher token,
    and versions rise on.
    """
    registry = await case.open()
    silent = await registry.elect("planner", "control-a", case.ttl_s)
    version = await registry.put("plan", b"one", leadership=silent)
    assert silent
    _set(offset, _HOUR_BACK)

    async def elected() -> Leadership | None:
        return await registry.elect("planner", "control-b", LONG_TTL_S)

    leader = await eventually(elected, within_s=2 * (case.ttl_s + case.late_s), clock=case.clock)
    assert leader
    assert leader.token > silent.token
    with pytest.raises(LeadershipLost):
        await registry.put("plan", b"late", leadership=silent)
    assert await registry.put("plan", b"two", leadership=leader) > version


async def test_a_clock_set_ahead_ends_leases_but_never_fences_wrongly(
    case: RedisCase, offset: Path
) -> None:
    """An hour ahead every lease has ended, its holder is told and begins anew; whoever led before
    cannot write over who leads now.
    """
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    await registry.register(lease, "agents/one", b"a")
    former = await registry.elect("planner", "control-a", LONG_TTL_S)
    assert former
    async with watching(case, registry) as watched:
        _set(offset, _HOUR_AHEAD)
        await until(case, lambda: not watched.view)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, "agents/one", b"a")
        await until(case, lambda: set(watched.view) == {"agents/one"})
        leader = await registry.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        assert leader.token > former.token
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"late", leadership=former)
        _set(offset, "+0")
        await registry.renew(lease)
        await registry.keep(leader)
        assert set(watched.view) == {"agents/one"}


def _set(offset: Path, seconds: str) -> None:
    offset.write_text(seconds)
