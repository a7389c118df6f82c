"""A real Consul that freezes, forgets, is cut off or stays away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest
import pytest_asyncio

from tandemkit.reach.failure import Unreachable
from tandemkit.registry.consul import consul_registry
from tandemkit.registry.protocol import Entry, Snapshot
from tests.contract.registry.case import until, watching
from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.consul_spares import Spares, spare_consuls
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.suite import NetworkSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spares() -> AsyncIterator[Spares]:
    async with spare_consuls() as spares:
        yield spares


@pytest_asyncio.fixture(loop_scope="module")
async def case(spares: Spares) -> AsyncIterator[ConsulCase]:
    """With a server to kill."""
    async with spares.one() as server, consul_case(server, ConsulCase) as case:
        yield case


class TestCutOffConsul(NetworkSuite):
    """Each test has a server of its own."""


async def test_a_consul_that_froze_evicts_nobody(case: ConsulCase) -> None:
    """Nobody could renew meanwhile, so everybody has their whole time once it goes on."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", case.ttl_s)
    await registry.register(lease, "agents/one", b"a")
    case.server.freeze()
    with pytest.raises(Unreachable):
        await registry.renew(lease)
    await case.clock.sleep(case.ttl_s)
    case.server.thaw()
    await registry.renew(lease)
    async with watching(case, registry) as watched:
        assert set(watched.view) == {"agents/one"}


async def test_a_control_that_heard_nothing_evicts_nobody(case: ConsulCase) -> None:
    """What is renewed through one control does not lapse for another that was cut off."""
    near = case.server
    settings = replace(case.settings, url=near.url)
    async with consul_registry(settings) as whole:
        cut_off = await case.open()
        lease = await whole.open_lease("host-a", case.ttl_s)
        await whole.register(lease, "agents/one", b"a")
        async with watching(case, cut_off) as watched:
            await case.cut()
            for turn in range(10):
                await case.clock.sleep(case.ttl_s / 2)
                await whole.renew(lease)
                if turn == 6:
                    await case.heal()
            await whole.register(lease, "agents/two", b"a")
            await until(case, lambda: len(watched.view) == 2)


async def test_a_consul_that_forgot_everything_is_believed(case: ConsulCase) -> None:
    """Its indexes went back: watchers get a Snapshot of what there is now."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    for number in range(100):
        await registry.register(lease, "agents/one", b"%d" % number)
    async with aclosing(registry.watch()) as events:
        before = await anext(events)
        assert isinstance(before, Snapshot)
        assert before.entries == (Entry("agents/one", b"99", "host-a"),)
        await case.server.forget()
        after = await anext(events)
        assert isinstance(after, Snapshot)
        assert after.entries == ()
        assert after.revision < before.revision
        lease = await registry.open_lease("host-b", LONG_TTL_S)
        await registry.register(lease, "agents/two", b"")
        assert (await anext(events)).revision < before.revision


async def test_a_watch_says_that_consul_stays_away(case: ConsulCase) -> None:
    """It raises instead of showing an old state forever, and a new one works once it is back."""
    settings = replace(case.settings, patience=replace(case.settings.patience, away_s=0.5))
    async with consul_registry(settings) as registry, aclosing(registry.watch()) as events:
        await anext(events)
        await case.server.kill()
        with pytest.raises(Unreachable):
            await anext(events)
        await case.server.start()
        async with watching(case, registry) as watched:
            assert watched.view == {}
