"""What callers notice when a host or a control plane dies: nothing, if the contract allows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tandemkit.mesh.catalogue import Placement
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.testing.parts import free_ports
from tests.cluster.mesh.trial_contract import ALPHA
from tests.cluster.mesh.trial_fleet import BOTH, CONTRACTS, HERE, THERE, Client, Fleet

pytestmark = pytest.mark.cluster
CALLS = 1500


async def kill_under_way(fleet: Fleet, client: Client, name: str) -> int:
    """Kills it in the midst of calls and takes it out of the mesh; returns how many were made."""
    await client.has_made(CALLS // 5)
    fleet.kill(name)
    made = await client.made()
    fleet.publish(without=name)
    return made


async def test_a_killed_host_costs_no_call_that_may_be_made_twice(fleet: Fleet) -> None:
    """The other host here takes over, and when that one is gone too, the one there."""
    _, port = await fleet.control()
    for name, machine in (("a", HERE), ("b", HERE), ("c", THERE)):
        await fleet.host(name, machine)
    fleet.publish()
    client = await fleet.client(port)
    outcome, made = await asyncio.gather(
        client.run("Alpha/Ask", CALLS), kill_under_way(fleet, client, "a")
    )
    assert made < CALLS, "it was killed after the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}


async def test_m026_a_killed_host_costs_other_calls_only_while_they_are_under_way(
    fleet: Fleet,
) -> None:
    """What may be made only once fails if its host died with it, and never after that."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.client(port)
    outcome, made = await asyncio.gather(
        client.run("Alpha/Add", CALLS, at_once=4), kill_under_way(fleet, client, "a")
    )
    assert made < CALLS, "it was killed after the last call"
    assert set(outcome.failures) <= {"UNAVAILABLE"}
    assert sum(outcome.failures.values()) <= 4
    assert set(outcome.answers) == {"a", "b"}


async def test_an_agent_without_endpoints_does_not_delay_anothers_failover(fleet: Fleet) -> None:
    """The new agent is told in the same breath as the loss; no call takes a second."""
    _, port = await fleet.control()
    await fleet.host("a", placements=BOTH[:1])
    await fleet.host("b", THERE, placements=BOTH[:1])
    fleet.publish(contracts=CONTRACTS[:1])
    client = await fleet.client(port)
    outcome, made = await asyncio.gather(
        client.run("Alpha/Ask", CALLS), kill_under_way(fleet, client, "a")
    )
    assert made < CALLS, "it was killed after the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    assert outcome.slowest_s < 1
    unplaced = await client.run("Beta/Ask", 2)
    assert unplaced.failures == {"UNAVAILABLE": 2}
    assert unplaced.slowest_s < 1


async def test_an_agent_changes_clusters_without_a_failed_call(fleet: Fleet) -> None:
    """It falls sick on one host, gets well, and is drained there: not even a call that may be made
    only once is lost, for old cluster and new are both there in between.
    """
    _, port = await fleet.control()
    well = await fleet.host("a")
    await fleet.host("b")
    fleet.publish()
    client = await fleet.client(port, believing=True)

    async def come_and_go() -> None:
        await client.has_made(CALLS // 5)
        for placements in ((Placement(ALPHA, serving=False), BOTH[1]), BOTH):
            fleet.hosts["a"] = replace(well, placements=placements)
            fleet.publish()
            await client.has_made(await client.made() + CALLS // 5)
        fleet.publish(TrafficPolicy(drained=frozenset({"a"})))

    outcome, _ = await asyncio.gather(client.run("Alpha/Add", 2 * CALLS), come_and_go())
    assert outcome.failures == {}
    await client.until_only("Alpha/Add", "b")


async def test_a_control_plane_that_restarts_costs_no_call(fleet: Fleet) -> None:
    """Clients go on with what they know, and hear from the new one what changed."""
    server, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.client(port)

    async def restart() -> int:
        await client.has_made(CALLS // 5)
        await server.drain(0)
        await fleet.control(port)
        return await client.made()

    outcome, made = await asyncio.gather(client.run("Alpha/Ask", CALLS), restart())
    assert made < CALLS, "it was restarted after the last call"
    assert outcome.failures == {}
    fleet.publish(without="a")
    await client.until_only("Alpha/Ask", "b")


async def test_the_second_control_plane_answers_where_the_first_does_not(fleet: Fleet) -> None:
    """A new client whose first control plane is down learns all from the next."""
    _, port = await fleet.control()
    await fleet.host("a")
    fleet.publish()
    (nobody,) = free_ports(1)
    client = await fleet.client(nobody, port)
    outcome = await client.run("Alpha/Ask", 10)
    assert outcome.answers == {"a": 10}
    assert outcome.slowest_s < 5
