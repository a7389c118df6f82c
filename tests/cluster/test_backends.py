"""Control on a real Consul and on a real Redis, each reached with a secret and certificates from
files: what dies, and what nobody notices.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_consul import DurableConsul
from tests.cluster.controls import (
    ONE,
    TWO,
    Controls,
    controls,
    guarded_consul,
    guarded_redis,
)
from tests.cluster.eventually import eventually

pytestmark = pytest.mark.cluster
AGENTS = ("trial-alpha", "trial-beta")
OWN = ("control-registry", "control-fleet-status")


@pytest.fixture(params=[guarded_consul, guarded_redis])
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Controls]:
    """Nothing runs yet but the backend."""
    with short_folder() as folder:
        async with request.param(folder) as backend, controls(folder, backend) as fleet:
            yield fleet


@pytest.fixture
async def consul_fleet() -> AsyncIterator[Controls]:
    with short_folder() as folder:
        async with guarded_consul(folder) as backend, controls(folder, backend) as fleet:
            yield fleet


async def test_the_fleet_outlives_each_of_its_parts(fleet: Controls) -> None:
    """Control killed and started again, then its backend: no host is gone for anybody, not for a
    moment, and all of them go on renewing.
    """
    fleet.lease_s = 10
    await fleet.start(ONE)
    await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
    async with fleet.heard_at(ONE) as heard:
        await heard.until(ONE, "a", "b")
        await fleet.kill(ONE)
        await fleet.start(ONE)
        await eventually(lambda: _announced(fleet, "a", "b"), lambda counts: min(counts) > 1)
        await fleet.backend.kill_and_restart()
        await fleet.start_host("c")
        await heard.until(ONE, "a", "b", "c")
        assert heard.gone == []
        # A Consul that has just started knows no token yet, which is no refusal.
        assert not any(fleet.was_refused(name) for name in ("a", "b"))
        fleet.send("a", signal.SIGTERM)
        await heard.until(ONE, "b", "c")
        assert heard.gone == ["hosts/a"]


@pytest.mark.parametrize("loss", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_host_of_one_control_is_seen_at_the_other_and_goes_there(
    fleet: Controls, loss: signal.Signals
) -> None:
    """The control that it announced itself at is killed, or frozen with its connections open; it
    takes its lease at the other one, and nobody there has seen it go.
    """
    await asyncio.gather(fleet.start(ONE), fleet.start(TWO))
    await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
    async with fleet.heard_at(TWO) as heard:
        await heard.until(ONE, TWO, "a", "b")
        before = await _announced(fleet, "a", "b")
        fleet.send(ONE, loss)
        await eventually(lambda: _announced(fleet, "a", "b"), lambda now: _all_more(now, before))
        # Its own place ran out with its lease; by then theirs would have, had they not moved.
        await heard.until(TWO, "a", "b")
        assert heard.gone == [f"hosts/{ONE}"]
        assert heard.watches_count == 1


async def test_consul_shows_every_agent_passing(consul_fleet: Controls) -> None:
    """By its own check of each, over a restart of control and of Consul; who drains is gone."""
    fleet = consul_fleet
    await fleet.start(ONE)
    await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
    expected = {name: {"a", "b"} for name in AGENTS} | {name: {ONE} for name in OWN}
    await eventually(lambda: _passing(fleet), lambda found: found == expected)
    before = await _created(fleet)
    await fleet.kill(ONE)
    await fleet.start(ONE)
    await eventually(lambda: _announced(fleet, "a", "b"), lambda counts: min(counts) > 1)
    await eventually(lambda: _passing(fleet), lambda found: found == expected)
    assert await _created(fleet) == before, "an agent was out of the catalogue"
    await fleet.backend.kill_and_restart()
    await eventually(lambda: _passing(fleet), lambda found: found == expected)
    fleet.send("a", signal.SIGTERM)
    await eventually(
        lambda: _passing(fleet), lambda found: all(found[name] == {"b"} for name in AGENTS)
    )


async def _announced(fleet: Controls, *names: str) -> list[int]:
    return [fleet.announced_count(name) for name in names]


def _all_more(now: list[int], before: list[int]) -> bool:
    return all(one > other for one, other in zip(now, before, strict=True))


async def _passing(fleet: Controls) -> dict[str, set[str]]:
    """The hosts of each agent that Consul itself has asked, and that is well."""
    # The catalogue gets what a check said minutes later where its status did not change.
    checks = await _asked(fleet, "agent/checks")
    asked = {one["ServiceID"] for one in checks.values() if "success" in one["Output"]}
    return {
        name: {
            one["Service"]["Meta"]["host"]
            for one in await _asked(fleet, f"health/service/{name}?passing")
            if one["Service"]["ID"] in asked
        }
        for name in (*AGENTS, *OWN)
    }


async def _created(fleet: Controls) -> dict[str, int]:
    """When each agent of a host came into the catalogue."""
    return {
        one["ServiceID"]: one["CreateIndex"]
        for name in AGENTS
        for one in await _asked(fleet, f"catalog/service/{name}")
    }


async def _asked(fleet: Controls, path: str) -> Any:
    server = fleet.backend.server
    assert isinstance(server, DurableConsul)
    return json.loads(await server.ask(path))
