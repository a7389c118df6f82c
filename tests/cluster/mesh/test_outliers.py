"""What keeps one host, or one client, from taking the others with it: gRPC's own part of it, as the
control plane sets it.
"""

from __future__ import annotations

import signal

import pytest

from tandemkit.mesh.policy import TrafficPolicy
from tests.cluster.eventually import eventually
from tests.cluster.load import Outcome
from tests.cluster.mesh.trial_fleet import Fleet

pytestmark = pytest.mark.cluster


async def test_a_host_that_fails_every_call_is_left_alone_and_tried_again(fleet: Fleet) -> None:
    """Its health says that it serves; only its callers see that it does not, and go elsewhere."""
    _, port = await fleet.control()
    for name in ("a", "b"):
        await fleet.host(name)
    fleet.publish()
    client = await fleet.client(port)
    await client.until_only("Alpha/Ask", "a", "b")
    fleet.ail("a", ill=True)

    async def look() -> Outcome:
        return await client.run("Alpha/Ask", 20, at_once=1)

    assert (await look()).failures == {"INTERNAL": 10}
    await eventually(look, lambda seen: seen.answers == {"b": 20})
    # One host is one endpoint, whichever of its agents is called.
    assert (await client.run("Beta/Add", 20)).answers == {"b": 20}
    fleet.ail("a", ill=False)
    await eventually(look, lambda seen: seen.answers == {"a": 10, "b": 10})


async def test_a_client_has_so_many_calls_in_progress_and_no_more(fleet: Fleet) -> None:
    """What is above the policy's limit fails at once; once there is room, calls go through."""
    _, port = await fleet.control()
    await fleet.host("a")
    fleet.publish(TrafficPolicy(calls_max=2))
    client = await fleet.client(port)
    assert (await client.run("Alpha/Add", 20, at_once=2)).answers == {"a": 20}
    fleet.kill("a", signal.SIGSTOP)
    held = await client.run("Alpha/Add", 6, at_once=6, deadline_s=1.0)
    fleet.kill("a", signal.SIGCONT)
    assert held.failures == {"UNAVAILABLE": 4, "DEADLINE_EXCEEDED": 2}
    assert (await client.run("Alpha/Add", 20, at_once=2)).answers == {"a": 20}
    fleet.publish()

    async def look() -> Outcome:
        return await client.run("Alpha/Add", 20, at_once=10)

    await eventually(look, lambda seen: seen.answers == {"a": 20})
