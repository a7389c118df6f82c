"""Pools of warm hosts, in a fleet that is started as a person starts it."""

from __future__ import annotations

import grpc
import pytest

from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.testing.failures import failure_of
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.pooled import POOL, SERVICE, Pooled, pooled

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
_CLOCK = SystemClock()


async def test_m014_more_agents_than_slots_run_in_turn_and_resume_with_their_state(
    tell: Tell,
) -> None:
    """Ten on four slots, each with what it knew from its turns before; and so when a host of the
    pool, the pool itself, and control are killed between the rounds.
    """
    names = [f"n{number}" for number in range(10)]
    async with pooled(hosts=2, slots=2) as it:
        deaths = ("", f"{POOL}-2", "agents", "control")
        for number, death in enumerate(deaths):
            if death:
                it.checkout.kill(death)
            for name in names:
                given = await it.allocate(name)
                assert given.header == "x-tandem-instance"
                await it.write(given.allocation.name, f"round-{number}")
                kept = await it.kept(given.allocation.name)
                assert kept == [f"round-{one}" for one in range(number + 1)]
            pool = await it.pools()
            tell(f"round {number}", f"{death or 'nobody'} killed, {pool.used} active of 10")
            assert (pool.slots, pool.used, pool.suspended) == (4, 4, 6)


async def test_an_instance_is_back_after_its_host_was_killed(tell: Tell) -> None:
    """Nobody has to ask: what is allocated is served again, with its state."""
    async with pooled(hosts=1, slots=2) as it:
        name = (await it.allocate("lasting")).allocation.name
        await it.write(name, "before")
        began_s = _CLOCK.monotonic_s()
        it.checkout.kill(POOL)
        assert await it.kept(name) == ["before"]
        tell("answers again after", f"{_CLOCK.monotonic_s() - began_s:.2f} s")


async def test_m015_54_python_agents_are_reached_through_8_processes(tell: Tell) -> None:
    """Each by its own name, in eight processes that had no agent when they started."""
    async with pooled(hosts=8, slots=7) as it:
        empty = await _memory(it)
        began_s = _CLOCK.monotonic_s()
        given = [(await it.allocate(f"n{number}")).allocation for number in range(54)]
        took_s = (_CLOCK.monotonic_s() - began_s) / len(given)
        for one in given:
            await it.write(one.name, one.name)
        for one in given:
            assert await it.kept(one.name) == [one.name]
        assert len({one.host for one in given}) == 8
        pool = await it.pools()
        assert [host.used for host in pool.hosts] == [7, 7, 7, 7, 7, 7, 6, 6]
        full = await eventually(lambda: _memory(it), lambda now: now > empty)
        each = (full - empty) / len(given) / 2**20
        tell("allocation", f"{1000 * took_s:.0f} ms each")
        tell("memory", f"{empty / 8 / 2**20:.0f} MiB a warm host, {each:.2f} MiB an instance")
        assert SERVICE in {one.service for one in given}


async def test_a_pool_that_is_full_of_pinned_instances_refuses_with_a_delay() -> None:
    """And by the short name of an agent that the fleet does not serve nothing is found."""
    async with pooled(hosts=1, slots=1) as it:
        await it.allocate("pinned", pinned=True)
        request = pb.AllocateAgentRequest(agent_type=SERVICE, agent_name="other")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await it.pool.AllocateAgent(request)
        found = failure_of(refused.value)
        assert (found.code.name, found.reason) == ("RESOURCE_EXHAUSTED", "POOL_EXHAUSTED")
        assert found.retry_after_s == 1.0
        request.agent_type = "utility-none"
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await it.pool.AllocateAgent(request)
        assert failure_of(unknown.value).reason == "AGENT_TYPE_UNKNOWN"


async def _memory(it: Pooled) -> int:
    told = await it.checkout.told("status")
    return sum(
        host["memory_bytes"]
        for host in told["machines"][0]["hosts"]
        if host["host"].startswith(POOL)
    )
