"""What only a Redis does: it forgets scripts, changes and everything, and it freezes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from tandemkit.core.clock import SystemClock
from tandemkit.reach.failure import Unreachable
from tandemkit.reach.server import Patience
from tandemkit.registry.protocol import LeadershipLost, LeaseLost, Snapshot, VersionConflict
from tandemkit.registry.redis_keyspace import RedisSettings
from tandemkit.supervise.tasks import Tasks
from tests.contract.registry.case import outlive, resuming, until, watching
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.redis_case import RedisCase, redis_case

# Tries go on for longer than a test freezes the server.
PATIENT = Patience(try_s=0.5, answer_s=8.0)


@pytest.fixture
async def case() -> AsyncIterator[RedisCase]:
    async with redis_case() as case:
        yield case


@pytest.fixture
async def inside(case: RedisCase) -> AsyncIterator[Redis]:
    """An operator's own connection to the server."""
    async with Redis(unix_socket_path=str(case.server.socket), protocol=2) as redis:
        yield redis


async def test_a_server_without_the_scripts_is_sent_them_again(
    case: RedisCase, inside: Redis
) -> None:
    """A script cache that an operator emptied is filled by the next call, also of a write."""
    registry = await case.open()
    await registry.put("policy", b"one")
    await inside.script_flush()
    assert await registry.put("policy", b"two") > 0
    await inside.script_flush()
    async with watching(case, registry) as watched:
        assert watched.view == {}


async def test_who_missed_too_much_gets_a_snapshot(case: RedisCase) -> None:
    """A watcher whose changes are no longer kept is told everything, and misses nothing."""
    registry = case.open_with(changes_kept=1)
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    async with watching(case, registry) as before:
        pass
    # Redis drops the log in blocks of a hundred.
    for number in range(250):
        await registry.register(lease, f"agents/{number % 5}", b"%d" % number)
    async with resuming(registry, before, before.revision) as resumed:
        await until(case, lambda: len(resumed.view) == 5)
        assert isinstance(resumed.events[0], Snapshot)
        assert resumed.view["agents/4"].value == b"249"


async def test_a_redis_that_lost_everything_gives_out_no_number_again(
    case: RedisCase, inside: Redis
) -> None:
    """Tokens, versions and revisions rise over a loss, former leaders and leases are refused,
    and a watcher is told that nothing is left.
    """
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    await registry.register(lease, "agents/one", b"a")
    former = await registry.elect("planner", "control-a", LONG_TTL_S)
    version = await registry.put("plan", b"old", leadership=former)
    assert former
    async with watching(case, registry) as watched:
        await inside.flushall()
        await until(case, lambda: not watched.view)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"late", leadership=former)
        with pytest.raises(VersionConflict):
            await registry.put("plan", b"late", expected=version)
        leader = await registry.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        assert leader.token > former.token
        assert await registry.put("plan", b"new", expected=0, leadership=leader) > version
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, "agents/two", b"a")
        await until(case, lambda: set(watched.view) == {"agents/two"})


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_watchers_agree_through_kills(case: RedisCase, seed: int) -> None:
    """Watchers that live on through kills, in the midst of rival hosts' changes, end up with what
    a new watcher is told.
    """
    dice = Random(seed)
    clients = [case.open_with(patience=PATIENT) for _ in range(3)]
    leases = [await one.open_lease(f"host-{at}", LONG_TTL_S) for at, one in enumerate(clients)]
    async with AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(watching(case, one)) for one in clients]
        for turn in range(200):
            if turn % 80 == 79:
                await case.kill_and_restart()
            at, key = dice.randrange(3), f"agents/{dice.randrange(6)}"
            match dice.randrange(8):
                case 0:
                    leases[at] = await clients[at].open_lease(f"host-{at}", LONG_TTL_S)
                case 1 | 2:
                    await clients[at].deregister(leases[at], key)
                case _:
                    await clients[at].register(leases[at], key, b"%d" % dice.randrange(3))
        await clients[0].register(leases[0], "end", b"")
        async with watching(case, clients[0]) as told:
            assert "end" in told.view
            await until(case, lambda: all(one.view == told.view for one in watchers))


async def test_every_end_is_written_once(case: RedisCase, inside: Redis) -> None:
    """Many watchers notice a lapsed lease at once; the log says of each key once that it went."""
    clients = [await case.open() for _ in range(5)]
    lease = await clients[0].open_lease("host-a", case.ttl_s)
    keys = {f"agents/{number}" for number in range(20)}
    for key in sorted(keys):
        await clients[0].register(lease, key, b"")
    async with AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(watching(case, one)) for one in clients]
        await until(case, lambda: not any(one.view for one in watchers))
        log: Any = await inside.xrange("{tandem}:changes")
    removed = [fields[b"removed"].decode() for _, fields in log if b"removed" in fields]
    assert sorted(removed) == sorted(keys)


async def test_a_lapsed_lease_leaves_nothing_behind(case: RedisCase, inside: Redis) -> None:
    """Of hosts that came and went only the log, its two numbers and the values stay."""
    registry = await case.open()
    for number in range(3):
        lease = await registry.open_lease(f"host-{number}", case.ttl_s)
        await registry.register(lease, f"agents/{number}", b"")
    async with watching(case, registry) as watched:
        await until(case, lambda: not watched.view)
    assert set(await inside.keys("*")) == {
        b"{tandem}:changes",
        b"{tandem}:revision",
        b"{tandem}:stamp",
    }


async def test_a_write_without_an_answer_is_not_sent_again(case: RedisCase) -> None:
    """A write whose answer is late is Unreachable at once, though another try would be answered."""
    registry = case.open_with(patience=PATIENT)
    await registry.put("policy", b"one")
    async with Tasks() as tasks:
        case.server.freeze()
        tasks.spawn("thaw", _thaw_after(case, 3 * case.settings.patience.try_s))
        with pytest.raises(Unreachable):
            await registry.put("policy", b"two")
    case.server.thaw()
    found = await registry.get("policy")
    assert found
    assert found.value in {b"one", b"two"}


async def test_what_is_safe_to_repeat_is_tried_again(case: RedisCase) -> None:
    """A renewal and a read outlast a freeze that is shorter than the limit of a call."""
    registry = case.open_with(patience=PATIENT)
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    async with Tasks() as tasks:
        case.server.freeze()
        tasks.spawn("thaw", _thaw_after(case, 2 * case.settings.patience.try_s))
        await registry.renew(lease)
    assert await registry.get("policy") is None


async def test_a_write_waits_for_a_server_that_is_not_there_yet(case: RedisCase) -> None:
    """What could not be sent is tried again, a write too, and done once the server is back."""
    registry = case.open_with(patience=PATIENT)
    version = await registry.put("policy", b"one")
    await case.server.kill()
    written: list[int] = []

    async def write() -> None:
        written.append(await registry.put("policy", b"two", expected=version))

    async with Tasks() as tasks:
        tasks.spawn("write", write())
        await case.server.start()
        await until(case, lambda: bool(written), within_s=8.0)
    assert written[0] > version


async def _thaw_after(case: RedisCase, duration_s: float) -> None:
    await case.clock.sleep(duration_s)
    case.server.thaw()


async def test_a_freeze_ends_what_was_not_renewed(case: RedisCase) -> None:
    """A lease that runs out while the server is frozen has ended when it thaws."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", case.ttl_s)
    leader = await registry.elect("planner", "control-a", case.ttl_s)
    assert leader
    case.server.freeze()
    await outlive(case, case.ttl_s)
    case.server.thaw()
    with pytest.raises(LeaseLost):
        await registry.renew(lease)
    with pytest.raises(LeadershipLost):
        await registry.keep(leader)


async def test_a_server_that_is_not_there_is_unreachable(case: RedisCase) -> None:
    """Calls and watchers end by themselves where nobody listens, and work once somebody does."""
    registry = case.open_with(patience=replace(case.settings.patience, away_s=1.0))
    await registry.put("policy", b"one")
    await case.server.kill()
    with pytest.raises(Unreachable):
        await registry.get("policy")
    with pytest.raises(Unreachable):
        await registry.put("policy", b"two")
    with pytest.raises(Unreachable):
        await anext(registry.watch())
    await case.server.start()
    found = await registry.get("policy")
    assert found
    assert found.value == b"one"


async def test_registries_of_two_prefixes_share_nothing(case: RedisCase) -> None:
    """Two fleets may use one server."""
    one, other = case.open_with(prefix="one"), case.open_with(prefix="other")
    await one.put("policy", b"one")
    assert await other.get("policy") is None
    assert await one.elect("planner", "control-a", LONG_TTL_S)
    assert await other.elect("planner", "control-b", LONG_TTL_S)


class _JumpingClock(SystemClock):
    """A machine whose wall clock somebody sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


async def test_a_clients_wall_clock_does_not_matter(case: RedisCase) -> None:
    """A control whose wall clock jumps by a day keeps its leases and its leadership, and gains
    none of others.
    """
    clock = _JumpingClock()
    registry, rival = case.open_with(clock), await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    leader = await rival.elect("planner", "control-b", LONG_TTL_S)
    assert leader
    await registry.register(lease, "agents/one", b"a")
    async with watching(case, registry) as watched:
        for days in (1, -2):
            clock.ahead += timedelta(days=days)
            await registry.renew(lease)
            assert await registry.elect("planner", "control-a", LONG_TTL_S) is None
            await rival.keep(leader)
        assert set(watched.view) == {"agents/one"}


def test_settings_that_cannot_work_are_refused() -> None:
    """A watcher's read may neither outlast a try nor wait forever."""
    with pytest.raises(ValueError):
        RedisSettings(sweep_every_s=0.0)
    with pytest.raises(ValueError):
        RedisSettings(sweep_every_s=1.0, patience=Patience(try_s=1.0))
