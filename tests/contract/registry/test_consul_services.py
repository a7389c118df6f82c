"""People see the fleet in Consul: every agent a service, with a check of its own health."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_asyncio

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.probing import PROBE_INTERVAL_S
from tandemkit.hosting.scope import Scope
from tandemkit.registry.consul_http import ConsulSettings, connected
from tandemkit.registry.consul_services import ConsulServices, ServedAgent, Shown
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_consul import DurableConsul, durable_consul
from tests.cluster.eventually import eventually
from tests.unit.tandemkit.hosting.probe_agent import AGENT
from tests.unit.tandemkit.rpc.probed import Probe

_CLOCK = SystemClock()
NAME = "probe-probe"
# The first check comes at any time before that, so hardly ever within a test.
NEVER_S = 1e6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consul() -> AsyncIterator[DurableConsul]:
    async with durable_consul() as server:
        yield server


@asynccontextmanager
async def shown_in(
    consul: DurableConsul, interval_s: float = 1.0, fleet: str = "tandem"
) -> AsyncIterator[ConsulServices]:
    """Checks are made every second, so that a test need not wait for ten."""
    async with connected(ConsulSettings(url=consul.url, prefix=fleet)) as http:
        services = ConsulServices(http, interval_s)
        yield services
        for one in await services.shown():
            await services.withdraw(one)


def served(port: int, **changes: Any) -> ServedAgent:
    agent = ServedAgent(
        host="a",
        instance=NAME,
        service=probe.SERVICE,
        address="127.0.0.1",
        port=port,
        hold="one",
        tags=("machine=laptop", "version=v1.2"),
        meta=(("version", "v1.2"),),
    )
    return replace(agent, **changes)


@asynccontextmanager
async def serving_host(
    folder: Path, agent: Agent = AGENT, clock: Clock = _CLOCK
) -> AsyncIterator[int]:
    place = Place("127.0.0.1:0", folder, clock, grace_s=0.0)
    async with hosting((Placed(agent, probe.ProbeRequest()),), place) as port:
        yield port


async def until_health_is(consul: DurableConsul, wanted: dict[str, str]) -> None:
    """Waits for these instances of the agent, by their ids, with what their health check says."""

    async def look() -> dict[str, str]:
        found = json.loads(await consul.ask(f"health/checks/{NAME}"))
        return {one["ServiceID"]: one["Status"] for one in found if one["Name"] == "gRPC health"}

    await eventually(look, lambda found: found == wanted)


async def test_a_served_agent_passes_its_check_and_leaves(
    consul: DurableConsul, tmp_path: Path
) -> None:
    """Consul asks the real agent for its health, shows it with tags and meta, and forgets it when
    it withdraws.
    """
    async with serving_host(tmp_path) as port, shown_in(consul) as services:
        # Its own word is that it does not serve, so only a check makes it passing.
        await services.announce(served(port, is_serving=False))
        await until_health_is(consul, {"tandem:a:probe-probe": "passing"})

        async def passing() -> Any:
            return json.loads(await consul.ask("health/service/probe-probe?passing"))

        assert await passing() == []
        agent = served(port)
        await services.announce(agent)
        (found,) = await eventually(passing, bool)
        shown = found["Service"]
        assert (shown["Address"], shown["Port"]) == ("127.0.0.1", port)
        assert shown["Tags"] == ["machine=laptop", "version=v1.2"]
        assert shown["Meta"]["service"] == probe.SERVICE
        assert (shown["Meta"]["host"], shown["Meta"]["instance"]) == ("a", NAME)
        assert shown["Meta"]["version"] == "v1.2"
        (known,) = await services.shown()
        assert known == Shown(agent.key, agent.hold, agent.mark)
        await services.withdraw(known)
        await until_health_is(consul, {})


async def test_an_agent_that_falls_ill_is_critical(consul: DurableConsul, tmp_path: Path) -> None:
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
    async with (
        serving_host(tmp_path, replace(AGENT, build=build), clock) as port,
        shown_in(consul) as services,
    ):
        await services.announce(served(port))
        await until_health_is(consul, {"tandem:a:probe-probe": "passing"})
        ailments.append(OSError("model is gone"))
        await clock.advance(PROBE_INTERVAL_S)
        await until_health_is(consul, {"tandem:a:probe-probe": "critical"})


async def test_an_agents_own_word_holds_until_the_first_check(consul: DurableConsul) -> None:
    """A new one is passing or critical from the moment that it is shown."""
    async with shown_in(consul, NEVER_S) as services:
        await services.announce(served(9))
        await services.announce(served(9, host="b", is_serving=False))
        words = {"tandem:a:probe-probe": "passing", "tandem:b:probe-probe": "critical"}
        await until_health_is(consul, words)


async def test_who_is_announced_anew_keeps_what_its_check_found(consul: DurableConsul) -> None:
    """A host that comes back under another lease does not flap: it is the same service, and as ill
    as before.
    """
    async with shown_in(consul) as services:
        await services.announce(served(9))
        await until_health_is(consul, {"tandem:a:probe-probe": "critical"})
        (before,) = json.loads(await consul.ask("catalog/service/probe-probe"))
        await services.announce(served(9, hold="two", tags=("new",)))
        await until_health_is(consul, {"tandem:a:probe-probe": "critical"})
        (after,) = json.loads(await consul.ask("catalog/service/probe-probe"))
        assert after["ServiceTags"] == ["new"]
        assert after["CreateIndex"] == before["CreateIndex"]


async def test_fleets_on_one_consul_do_not_see_each_other(consul: DurableConsul) -> None:
    """Hosts of one name in two fleets are two, and each fleet withdraws its own."""
    async with shown_in(consul, NEVER_S) as ours, shown_in(consul, NEVER_S, "second") as theirs:
        await ours.announce(served(9))
        await theirs.announce(served(9))
        both = {"tandem:a:probe-probe": "passing", "second:a:probe-probe": "passing"}
        await until_health_is(consul, both)
        for one in await ours.shown():
            await ours.withdraw(one)
        await until_health_is(consul, {"second:a:probe-probe": "passing"})
