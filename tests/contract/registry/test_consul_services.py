"""People see the fleet in Consul: every agent a service, with a check of its own health."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import PROBE_INTERVAL_S, Place, Placed, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.registry.consul_http import ConsulSettings, connected
from tandemkit.registry.consul_services import ConsulServices, ServedAgent, ServingHost
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_consul import DurableConsul, durable_consul
from tests.cluster.eventually import eventually
from tests.unit.tandemkit.hosting.probe_agent import AGENT
from tests.unit.tandemkit.rpc.probed import Probe

_CLOCK = SystemClock()
PROBE = ServedAgent("probe-probe", probe.SERVICE, "v1.2", ("probe", "stable"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consul() -> AsyncIterator[DurableConsul]:
    async with durable_consul() as server:
        yield server


@pytest.fixture
async def services(
    consul: DurableConsul, request: pytest.FixtureRequest
) -> AsyncIterator[ConsulServices]:
    """Checks are made every second, so that a test need not wait for ten."""
    settings = ConsulSettings(url=consul.url, prefix=request.node.name)
    async with connected(settings) as http:
        services = ConsulServices(http, interval_s=1.0)
        yield services
        await services.retain(())


@asynccontextmanager
async def serving_host(
    folder: Path, agent: Agent = AGENT, clock: Clock = _CLOCK
) -> AsyncIterator[ServingHost]:
    place = Place("127.0.0.1:0", folder, clock, grace_s=0.0)
    async with hosting((Placed(agent, probe.ProbeRequest()),), place) as port:
        yield ServingHost("host-a", "127.0.0.1", port)


async def checks_of(consul: DurableConsul, service: str) -> dict[str, str]:
    """The status of each of the service's instances, by its id."""
    found = json.loads(await consul.ask(f"health/checks/{service}"))
    return {one["ServiceID"]: one["Status"] for one in found}


async def until_checks_are(consul: DurableConsul, wanted: dict[str, str]) -> None:
    async def look() -> dict[str, str]:
        return await checks_of(consul, PROBE.name)

    await eventually(look, lambda found: found == wanted)


async def test_a_served_agent_passes_its_check_and_leaves(
    consul: DurableConsul, services: ConsulServices, tmp_path: Path
) -> None:
    """Consul asks the real agent for its health, shows it with tags and meta, and forgets it when
    it withdraws.
    """
    async with serving_host(tmp_path) as host:
        await services.announce(host, (PROBE,))
        await until_checks_are(consul, {"host-a:probe-probe": "passing"})
        (found,) = json.loads(await consul.ask("health/service/probe-probe?passing"))
        shown = found["Service"]
        assert (shown["Address"], shown["Port"]) == ("127.0.0.1", host.port)
        assert shown["Tags"] == ["probe", "stable"]
        assert shown["Meta"]["contract"] == probe.SERVICE
        assert shown["Meta"]["version"] == "v1.2"
        await services.withdraw("host-a")
        await until_checks_are(consul, {})


async def test_an_agent_that_falls_ill_is_critical(
    consul: DurableConsul, services: ConsulServices, tmp_path: Path
) -> None:
    """The check is the agent's own health, and not whether its host's port is open."""
    ailments: list[OSError] = []

    async def well() -> None:
        if ailments:
            raise ailments[0]

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        scope.ready_when(well)
        yield Probe()

    clock = FakeClock()
    async with serving_host(tmp_path, replace(AGENT, build=build), clock) as host:
        await services.announce(host, (PROBE,))
        await until_checks_are(consul, {"host-a:probe-probe": "passing"})
        ailments.append(OSError("model is gone"))
        await clock.advance(PROBE_INTERVAL_S)
        await until_checks_are(consul, {"host-a:probe-probe": "critical"})


async def test_the_dead_leave_before_consul_would_remove_them(
    consul: DurableConsul, services: ConsulServices
) -> None:
    """What no living host announced goes at once, of this fleet alone and not after a minute."""
    for name in ("host-a", "machine-b/host-a"):
        await services.announce(ServingHost(name, "127.0.0.1", 9), (PROBE,))
    settings = ConsulSettings(url=consul.url, prefix="another-fleet")
    async with connected(settings) as http:
        another = ConsulServices(http)
        await another.announce(ServingHost("theirs", "127.0.0.1", 9), (PROBE,))
        await services.retain({"machine-b/host-a"})
        left = {"machine-b:host-a:probe-probe": "critical", "theirs:probe-probe": "critical"}
        await until_checks_are(consul, left)
        await another.retain(())


async def test_an_agent_that_left_its_host_is_withdrawn_with_the_next_announcement(
    consul: DurableConsul, services: ConsulServices
) -> None:
    """Announcing says what a host serves, so nothing stays that it no longer does."""
    host = ServingHost("host-a", "127.0.0.1", 9)
    other = replace(PROBE, name="probe-other")
    await services.announce(host, (PROBE, other))
    await services.announce(host, (other,))
    await until_checks_are(consul, {})
    assert set(await checks_of(consul, "probe-other")) == {"host-a:probe-other"}
