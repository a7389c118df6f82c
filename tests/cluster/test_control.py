"""From a host's start to a client's call: what nobody is told by hand, and what nobody notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from tandemkit.hosting.membership import LEASE_S
from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.telling import removals, treated

pytestmark = pytest.mark.cluster
CALLS = 1500
RATE = 200
# Enough to go on while a control starts.
CALLS_LONG = 20_000


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    """A control and two hosts."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
            await fleet.until_serving("a", "b")
            yield fleet


async def test_hosts_that_announce_themselves_share_the_calls(fleet: Controlled) -> None:
    """A stock client knows the one target alone, and reaches both."""
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")
    outcome = await client.run("Alpha/Ask", 100, at_once=1)
    assert outcome.failures == {}
    assert outcome.answers == {"a": 50, "b": 50}


async def test_m026_a_killed_host_costs_no_call_and_is_back_when_it_is(fleet: Controlled) -> None:
    """Calls that may be made twice all succeed; its lease runs out, and a new one is heard."""
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")

    async def kill() -> int:
        await client.has_made(CALLS // 5)
        await fleet.kill("a")
        return await client.made()

    outcome, made = await asyncio.gather(client.run("Alpha/Ask", CALLS), kill())
    assert made < CALLS, "it was killed after the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    assert sum(outcome.answers.values()) == CALLS
    await fleet.until_serving("b")
    await fleet.start_host("a")
    await client.until_only("Alpha/Ask", "a", "b")


async def test_a_frozen_host_leaves_with_its_lease_and_comes_back(fleet: Controlled) -> None:
    """No connection breaks, so only the lease says it; thawed, the host takes a new one."""
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")
    fleet.send("a", signal.SIGSTOP)
    await fleet.until_serving("b")
    await client.until_only("Alpha/Ask", "b")
    fleet.send("a", signal.SIGCONT)
    await client.until_only("Alpha/Ask", "a", "b")


async def test_hosts_that_fall_silent_together_are_not_all_given_up(fleet: Controlled) -> None:
    """One of the two stays, for it may be the network; who drains is believed, down to nobody."""
    for name in ("a", "b"):
        fleet.send(name, signal.SIGSTOP)
    kept_hosts = await eventually(lambda: treated(fleet))
    assert list(kept_hosts.values()) == ["KIND_KEPT"]
    (kept,) = kept_hosts
    await fleet.until_serving(kept.removeprefix("hosts/"))
    for name in ("a", "b"):
        fleet.send(name, signal.SIGCONT)
    await fleet.until_serving("a", "b")
    for name in ("a", "b"):
        fleet.send(name, signal.SIGTERM)
    await fleet.until_serving()
    assert await treated(fleet) == {}


async def test_a_frozen_control_evicts_nobody(fleet: Controlled) -> None:
    """It wakes long after all leases should have ended, and nobody could have been heard: no host
    leaves for a moment, and no call fails.
    """
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")
    async with removals(fleet) as removed:
        fleet.send("control", signal.SIGSTOP)
        outcome = await client.run("Alpha/Add", round(2 * LEASE_S * RATE), per_s=RATE)
        fleet.send("control", signal.SIGCONT)
        await fleet.start_host("c")
        await client.until_only("Alpha/Ask", "a", "b", "c")
        assert removed == []
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}


async def test_a_killed_control_costs_no_call_and_is_heard_again(fleet: Controlled) -> None:
    """Calls go on while it is gone and while it learns who is there; a new host is heard."""
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")

    async def kill_and_restart() -> tuple[int, int]:
        await client.has_made(CALLS // 5)
        await fleet.kill("control")
        killed = await client.made()
        await fleet.start_control()
        return killed, await client.made()

    outcome, (killed, restarted) = await asyncio.gather(
        client.run("Alpha/Ask", CALLS_LONG), kill_and_restart()
    )
    assert killed < restarted < CALLS_LONG, "it was not back before the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    await fleet.until_serving("a", "b")
    await fleet.start_host("c")
    await client.until_only("Alpha/Ask", "a", "b", "c")


async def test_a_second_control_goes_on_with_the_last_view(fleet: Controlled) -> None:
    """It says that the view is old, clients call by it all the same, and without it too."""
    await fleet.start_second()
    await eventually(lambda: fleet.is_stale("second"), lambda stale: not stale)
    await fleet.kill("control")
    await eventually(lambda: fleet.is_stale("second"))
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a", "b")
    await fleet.kill("second")
    outcome = await client.run("Alpha/Ask", CALLS)
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    await fleet.start_control()
    await fleet.start_second()
    await eventually(lambda: fleet.is_stale("second"), lambda stale: not stale)
    await fleet.start_host("c")
    await client.until_only("Alpha/Ask", "a", "b", "c")
