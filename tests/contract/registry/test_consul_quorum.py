"""Row M150: three Consul servers, of which one is killed; discovery and locks go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.reach.failure import Unreachable
from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, consul_registry
from tandemkit.registry.protocol import Lease, Removed
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts_quorum import QuorumServer, consul_quorum
from tests.cluster.eventually import eventually
from tests.contract.registry.case import Watched

_CLOCK = SystemClock()
TTL_S, LONG_TTL_S = 6.0, 120.0


class Quorum:
    """The servers, and a control's registry at each of them."""

    def __init__(self, servers: list[QuorumServer], registries: list[ConsulRegistry]) -> None:
        self.servers, self.registries = servers, registries

    async def leader(self) -> int:
        """The number of the one that leads, as it says itself."""

        async def look() -> list[int]:
            return [number for number, one in enumerate(self.servers) if await one.leads()]

        return (await eventually(look))[0]


@pytest.fixture
async def quorum() -> AsyncIterator[Quorum]:
    async with consul_quorum() as servers, AsyncExitStack() as stack:
        registries = [
            await stack.enter_async_context(
                consul_registry(ConsulSettings(url=one.url, prefix="tandem"))
            )
            for one in servers
        ]
        yield Quorum(list(servers), registries)


async def test_m150_a_server_killed_discovery_and_locks_go_on(quorum: Quorum) -> None:
    """With the one that led gone, leases are renewed, who is new is heard, who held a lock holds
    it, and nobody is gone; it comes back and knows what it missed.
    """
    killed = await quorum.leader()
    near, far = (one for number, one in enumerate(quorum.registries) if number != killed)
    watched = Watched()
    async with Tasks() as tasks:
        tasks.spawn("watch", watched.follow(far.watch()))
        lease = await near.open_lease("host-a", TTL_S)
        await near.register(lease, "agents/one", b"a")
        tasks.spawn("renew", _renewing(near, lease))
        lock = await near.elect("planner", "control-a", LONG_TTL_S)
        assert lock is not None
        await quorum.servers[killed].kill()
        later = await _eventually_opened(far)
        await far.register(later, "agents/two", b"b")
        await _until_seen(watched, "agents/one", "agents/two")
        assert await far.elect("planner", "control-b", LONG_TTL_S) is None
        await near.keep(lock)
        version = await near.put("plan", b"new", leadership=lock)
        await near.resign(lock)
        next_lock = await far.elect("planner", "control-b", LONG_TTL_S)
        assert next_lock is not None
        assert next_lock.token > lock.token
        await quorum.servers[killed].start()
        found = await quorum.registries[killed].get("plan")
        assert found is not None
        assert (found.value, found.version) == (b"new", version)
        assert not [event for event in watched.events if isinstance(event, Removed)]


async def _renewing(registry: ConsulRegistry, lease: Lease) -> None:
    """As hosts do: what fails is tried again."""
    while True:
        with suppress(Unreachable):
            await registry.renew(lease)
        await _CLOCK.sleep(TTL_S / 6)


async def _eventually_opened(registry: ConsulRegistry) -> Lease:
    """Nobody takes a write until the two have elected one of them."""

    async def opened() -> Lease | None:
        with suppress(Unreachable):
            return await registry.open_lease("host-b", LONG_TTL_S)
        return None

    lease = await eventually(opened)
    assert lease is not None
    return lease


async def _until_seen(watched: Watched, *keys: str) -> None:
    async def look() -> set[str]:
        return set(watched.view)

    await eventually(look, lambda seen: seen == set(keys))
