"""What an unmodified Envoy does with what it is told: the same as gRPC's clients."""

from __future__ import annotations

import signal

import pytest

from tandemkit.mesh.edge import EdgeView
from tandemkit.mesh.policy import Fault, Preference, ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.routes import SLACK_S
from tandemkit.mesh.snapshot import Snapshot
from tandemkit.mesh.streams import EDGE, Subscription
from tandemkit.rpc.local import INSTANCE_HEADER
from tests.cluster.eventually import eventually
from tests.cluster.load import Outcome
from tests.cluster.mesh.trial_contract import AFFINITY, ALPHA, BETA, WAIT_MS
from tests.cluster.mesh.trial_fleet import HERE, THERE, Client, Fleet

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy")]
EVERYTHING = TrafficPolicy(
    services={
        ALPHA: ServicePolicy(
            (Share("blue", 9), Share("green", 1)), (Preference("x-tester", "yes", "green"),)
        ),
        BETA: ServicePolicy(fault=Fault(percent=100, abort_code=8, delay_s=0.05)),
    },
    calls_max=500,
)


async def through_an_edge(fleet: Fleet, machine: str = HERE) -> Client:
    """A client of an edge that stands on `machine`, as the fleet is at this moment."""
    _, port = await fleet.control()
    fleet.publish()
    running = await fleet.edge(port, machine=machine)
    return await fleet.plain_client(running.port)


def told_to_edges(fleet: Fleet) -> list[dict[str, Subscription]]:
    """What each edge asked for, and what it made of the answers."""
    streams = (stream for one in fleet.discoveries for stream in one.streams)
    return [stream.subscriptions for stream in streams if stream.cluster == EDGE]


async def until_accepted(fleet: Fleet, before: Snapshot | None) -> None:
    """Returns once the edge has acknowledged what came after `before`, and refused nothing."""

    async def look() -> bool:
        snapshot = fleet.publication.on(HERE)
        if snapshot is None or snapshot is before:
            return False
        wanted = EdgeView().of(snapshot)
        (asked,) = told_to_edges(fleet)
        assert {one.objection for one in asked.values()} == {""}
        parts = (wanted.clusters, wanted.endpoints, wanted.routes)
        return all(asked[one.type_url].accepted_version == one.version for one in parts)

    await eventually(look)


async def test_an_envoy_accepts_all_that_a_policy_can_say(fleet: Fleet) -> None:
    """Routes, weights, faults, rings, limits: each version is acknowledged and none is refused."""
    for name, version in (("a", "blue"), ("b", "green")):
        await fleet.host(name, version=version)
    client = await through_an_edge(fleet)
    for policy in (TrafficPolicy(), EVERYTHING, TrafficPolicy()):
        before = fleet.publication.on(HERE)
        fleet.publish(policy)
        await until_accepted(fleet, before)
    assert (await client.run("Beta/Ask", 4)).failures == {}


async def test_calls_go_round_the_hosts_of_the_edges_machine(fleet: Fleet) -> None:
    """As they do for a client on that machine."""
    for name, machine in (("a", HERE), ("b", HERE), ("c", THERE)):
        await fleet.host(name, machine)
    client = await through_an_edge(fleet)
    outcome = await client.run("Alpha/Ask", 100, at_once=1)
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a", "b"}
    assert min(outcome.answers.values()) >= 40


async def test_shares_and_preferences_choose_the_version(fleet: Fleet) -> None:
    """A canary gets its tenth, a header overrides the dice, and a switch moves everybody."""
    for version in ("blue", "green"):
        await fleet.host(version, version=version)
    client = await through_an_edge(fleet)
    fleet.publish(
        TrafficPolicy(
            {
                ALPHA: ServicePolicy(
                    (Share("blue", 90), Share("green", 10)),
                    (Preference("x-tester", "yes", "green"),),
                )
            }
        )
    )

    async def preferred() -> Outcome:
        return await client.run("Alpha/Ask", 20, headers={"x-tester": "yes"})

    await eventually(preferred, lambda one: one.answers == {"green": 20})
    outcome = await client.run("Alpha/Ask", 1000)
    assert outcome.failures == {}
    # Four standard deviations: a fair die fails this once in 16,000 runs.
    assert 862 <= outcome.answers["blue"] <= 938
    fleet.publish(TrafficPolicy({ALPHA: ServicePolicy((Share("green", 1),))}))
    await client.until_only("Alpha/Ask", "green")


async def test_a_fault_meets_the_calls_that_it_is_meant_for(fleet: Fleet) -> None:
    """The one agent's calls end with the code or come late, the other's do not; undone, all do."""
    await fleet.host("a")
    client = await through_an_edge(fleet)

    async def look() -> Outcome:
        return await client.run("Alpha/Ask", 5)

    fleet.publish(TrafficPolicy({ALPHA: ServicePolicy(fault=Fault(percent=100, abort_code=8))}))
    await eventually(look, lambda one: one.failures == {"RESOURCE_EXHAUSTED": 5})
    assert (await client.run("Beta/Ask", 5)).answers == {"a": 5}
    fleet.publish(TrafficPolicy({ALPHA: ServicePolicy(fault=Fault(percent=100, delay_s=0.3))}))
    await eventually(look, lambda one: one.answers == {"a": 5} and one.slowest_s >= 0.3)
    fleet.publish()
    await eventually(look, lambda one: one.slowest_s < 0.3)


async def test_a_session_is_where_it_is_for_clients_on_xds(fleet: Fleet) -> None:
    """Envoy and gRPC's core make the same ring, or a session would live twice."""
    for name, machine in (("a", HERE), ("b", HERE), ("c", THERE)):
        await fleet.host(name, machine)
    plain = await through_an_edge(fleet, THERE)
    _, port = await fleet.control()
    meshed = await fleet.client(port)
    owners: set[str] = set()
    for session in map(str, range(24)):
        here = await plain.run("Alpha/Stick", 4, headers={AFFINITY: session})
        there = await meshed.run("Alpha/Stick", 4, headers={AFFINITY: session})
        assert len(here.answers) == 1
        assert here.answers == there.answers
        owners.update(here.answers)
    assert owners == {"a", "b", "c"}


async def test_an_instance_is_reached_by_its_name_and_by_nothing_else(fleet: Fleet) -> None:
    """The header leads to the instance, none to the default; a name that nobody has fails."""
    await fleet.host("plain")
    client = await through_an_edge(fleet)
    named = await client.run("Alpha/Ask", 5, headers={INSTANCE_HEADER: "trial-alpha"})
    assert named.answers == {"plain": 5}
    assert (await client.run("Alpha/Ask", 5)).answers == {"plain": 5}
    nobody = await client.run("Alpha/Ask", 2, headers={INSTANCE_HEADER: "trial-alpha-nobody"})
    assert nobody.failures == {"UNAVAILABLE": 2}
    assert nobody.slowest_s < 1


async def test_a_call_ends_at_its_deadline_where_the_host_does_not_answer(fleet: Fleet) -> None:
    """The route ends it soon after the method's own deadline, which the host cannot keep."""
    await fleet.host("a")
    client = await through_an_edge(fleet)
    assert (await client.run("Alpha/Ask", 1)).answers == {"a": 1}
    fleet.kill("a", signal.SIGSTOP)
    outcome = await client.run("Beta/Wait", 1)
    fleet.kill("a", signal.SIGCONT)
    assert outcome.failures == {"DEADLINE_EXCEEDED": 1}
    assert WAIT_MS / 1000 <= outcome.slowest_s < WAIT_MS / 1000 + SLACK_S + 1


async def test_clusters_that_are_made_anew_cost_no_call(fleet: Fleet) -> None:
    """A limit is part of every cluster; the old one is used until the new one has its endpoints."""
    for name in ("a", "b"):
        await fleet.host(name)
    client = await through_an_edge(fleet)
    for calls_max in (500, 600, 700):
        before = fleet.publication.on(HERE)
        fleet.publish(TrafficPolicy(calls_max=calls_max))
        outcome = await client.run("Alpha/Add", 400)
        assert outcome.failures == {}
        assert set(outcome.answers) == {"a", "b"}
        assert outcome.slowest_s < 1
        await until_accepted(fleet, before)
