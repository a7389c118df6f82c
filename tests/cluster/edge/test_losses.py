"""What callers of the edge notice when a host, a control plane or the edge itself dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from tandemkit.hosting.edge import edge
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.testing.parts import free_ports
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_fleet import HERE, THERE, Client, Fleet

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy")]
CALLS = 1500


async def kill_under_way(fleet: Fleet, client: Client, name: str) -> int:
    """Kills it in the midst of calls; the mesh hears of it later. Returns how many were made."""
    await client.has_made(CALLS // 5)
    fleet.kill(name)
    made = await client.made()
    await client.has_made(2 * CALLS // 5)
    fleet.publish(without=name)
    return made


async def test_a_killed_host_costs_no_call_that_may_be_made_twice(fleet: Fleet) -> None:
    """Even before the control plane knows, the edge tries the other host."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port)).port)
    outcome, made = await asyncio.gather(
        client.run("Alpha/Ask", CALLS), kill_under_way(fleet, client, "a")
    )
    assert made < CALLS, "it was killed after the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    assert sum(outcome.answers.values()) == CALLS


async def test_the_last_host_of_a_machine_is_replaced_by_those_of_the_other(fleet: Fleet) -> None:
    """The edge goes over to the other machine by itself, without a failed call."""
    _, port = await fleet.control()
    await fleet.host("a", HERE)
    await fleet.host("b", THERE)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port)).port)
    outcome, _ = await asyncio.gather(
        client.run("Alpha/Ask", CALLS), kill_under_way(fleet, client, "a")
    )
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}


async def test_a_killed_host_costs_other_calls_only_while_they_are_under_way(fleet: Fleet) -> None:
    """What may be made only once is sent again where no host has seen it, and never else."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port)).port)
    outcome, _ = await asyncio.gather(
        client.run("Alpha/Add", CALLS, at_once=4), kill_under_way(fleet, client, "a")
    )
    assert set(outcome.failures) <= {"UNAVAILABLE"}
    # Each of its two threads has a connection of its own, and they do not break in one moment.
    assert sum(outcome.failures.values()) <= 4 * 2
    assert set(outcome.answers) == {"a", "b"}


async def test_a_frozen_host_costs_time_and_no_call_that_may_be_made_twice(fleet: Fleet) -> None:
    """Its connections stay open; the edge pings them, gives them up, and asks the other host."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port)).port)

    async def freeze() -> None:
        await client.has_made(CALLS // 5)
        fleet.kill("a", signal.SIGSTOP)
        # Those that wait for it are answered by the other before control says a word.
        await client.has_made(await client.made() + 8)
        fleet.publish(without="a")

    outcome, _ = await asyncio.gather(client.run("Alpha/Ask", CALLS), freeze())
    fleet.kill("a", signal.SIGCONT)
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}


async def test_a_drained_host_costs_no_call(fleet: Fleet) -> None:
    """Not even one that may be made only once."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port)).port)

    async def drain() -> None:
        await client.has_made(CALLS // 5)
        fleet.publish(TrafficPolicy(drained=frozenset({"a"})))

    outcome, _ = await asyncio.gather(client.run("Alpha/Add", CALLS), drain())
    assert outcome.failures == {}
    await client.until_only("Alpha/Add", "b")


async def test_an_edge_goes_on_without_its_control_plane_and_hears_the_next(fleet: Fleet) -> None:
    """Both control planes end under calls; the one that comes back is heard."""
    first, port = await fleet.control()
    second, other = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.plain_client((await fleet.edge(port, other)).port)

    async def restart() -> None:
        await client.has_made(CALLS // 5)
        await first.drain(0)
        await second.drain(0)
        await client.has_made(3 * CALLS // 5)
        await fleet.control(port)

    outcome, _ = await asyncio.gather(client.run("Alpha/Ask", CALLS), restart())
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    fleet.publish(without="a")
    await client.until_only("Alpha/Ask", "b")


async def test_an_edge_asks_the_control_plane_that_is_there(fleet: Fleet) -> None:
    """Of two addresses one is dead from the start."""
    _, port = await fleet.control()
    await fleet.host("a")
    fleet.publish()
    (nobody,) = free_ports(1)
    client = await fleet.plain_client((await fleet.edge(nobody, port)).port)
    assert (await client.run("Alpha/Ask", 10)).answers == {"a": 10}


async def test_an_edge_that_ends_by_itself_is_told(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that it is gone, and what it said last."""
    _, port = await fleet.control()
    fleet.publish()
    running = await fleet.edge(port)
    os.kill(running.pid, signal.SIGKILL)

    async def look() -> list[str]:
        return [line.getMessage() for line in caplog.records]

    with caplog.at_level(logging.ERROR):
        await eventually(look, lambda said: "edge.ended" in said)


async def test_an_edge_that_is_frozen_holds_its_end_up_for_seconds_only(fleet: Fleet) -> None:
    """It neither drains nor heeds a signal, and is killed."""
    _, port = await fleet.control()
    fleet.publish()
    async with asyncio.timeout(30), edge(fleet.edge_place(port)) as running:
        os.kill(running.pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
