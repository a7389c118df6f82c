"""A network that is cut and healed: calls end, and what comes after is right."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.reach.failure import Unreachable
from tandemkit.registry.protocol import LeaseLost
from tests.contract.registry.case import Severable, until, watching
from tests.contract.registry.leases import LONG_TTL_S


class NetworkSuite:
    """For backends that a network lies before."""

    async def test_calls_end_while_the_network_is_cut(self, case: Severable) -> None:
        """Each call raises Unreachable by itself, and works on the same client once healed."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        version = await registry.put("policy", b"one")
        await case.cut()
        ended = await asyncio.gather(
            registry.get("policy"),
            registry.put("policy", b"two", expected=version),
            registry.renew(lease),
            registry.elect("planner", "control-a", LONG_TTL_S),
            return_exceptions=True,
        )
        assert [type(one) for one in ended] == [Unreachable] * len(ended)
        await case.heal()
        found = await registry.get("policy")
        # Whether the write arrived is not known; that it did not arrive twice is.
        assert found is not None
        assert found.value in {b"one", b"two"}
        await registry.put("policy", b"three", expected=found.version)

    async def test_a_watcher_misses_nothing_over_a_cut(self, case: Severable) -> None:
        """What happened while it was cut off is known after: by resuming, or by a watch anew."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", case.ttl_s)
        await registry.register(lease, "agents/one", b"a")
        async with watching(case, registry) as before:
            assert set(before.view) == {"agents/one"}
        await case.cut()
        await case.clock.sleep(case.ttl_s + case.late_s)
        await case.heal()
        async with watching(case, registry) as after:
            await until(case, lambda: not after.view)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)

    async def test_a_client_that_leaves_takes_nothing_along(self, case: Severable) -> None:
        """A control that stops ends no lease: another one goes on renewing it."""
        leaving, staying = await case.open(), await case.open()
        lease = await leaving.open_lease("host-a", LONG_TTL_S)
        await leaving.register(lease, "agents/one", b"a")
        await leaving.aclose()
        await staying.renew(lease)
        await staying.register(lease, "agents/two", b"b")
        async with watching(case, staying) as watched:
            assert watched.values() == {"agents/one": b"a", "agents/two": b"b"}

    async def test_a_client_outlives_its_backend(self, case: Severable) -> None:
        """The same client goes on after the backend was killed and started again."""
        registry = await case.open()
        await registry.put("policy", b"one")
        await case.kill_and_restart()
        found = await registry.get("policy")
        assert found is not None
        assert found.value == b"one"
        async with watching(case, registry) as watched:
            lease = await registry.open_lease("host-a", LONG_TTL_S)
            await registry.register(lease, "agents/one", b"a")
            await until(case, lambda: "agents/one" in watched.view)
