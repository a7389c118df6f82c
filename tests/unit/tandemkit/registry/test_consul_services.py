"""What Consul is told to check, as it arrives there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aiohttp import web

from tandemkit.registry.consul_http import ConsulSettings, connected
from tandemkit.registry.consul_services import ConsulServices, ServedAgent


async def announced(agent: ServedAgent) -> dict[str, Any]:
    """The service that a Consul was told of."""
    told: list[dict[str, Any]] = []

    async def register(request: web.Request) -> web.Response:
        told.append(json.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_put("/v1/agent/service/register", register)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with connected(ConsulSettings(url=f"http://{host}:{port}")) as http:
            await ConsulServices(http, 15.0).announce(agent)
    finally:
        await runner.cleanup()
    return told[0]


def agent_at(address: str) -> ServedAgent:
    return ServedAgent("a", "utility-files", "tandem.x.v1.S", address, 8200, "one")


async def test_only_whose_port_is_gone_is_removed() -> None:
    """An agent that is ill stays in sight: its health makes it critical and never takes it away."""
    health, reached, _ = (await announced(agent_at("10.0.0.1")))["Checks"]
    assert health["GRPC"] == "10.0.0.1:8200/tandem.x.v1.S"
    assert health["Interval"] == "15000ms"
    assert "DeregisterCriticalServiceAfter" not in health
    assert reached["TCP"] == "10.0.0.1:8200"
    assert reached["DeregisterCriticalServiceAfter"] == "1m"


async def test_an_address_of_ipv6_is_written_as_one() -> None:
    """In brackets, where a port follows."""
    health, reached, _ = (await announced(agent_at("fd00::1")))["Checks"]
    assert health["GRPC"] == "[fd00::1]:8200/tandem.x.v1.S"
    assert reached["TCP"] == "[fd00::1]:8200"


def test_a_mark_tells_what_is_shown_and_how_well_it_is() -> None:
    """Who moved is announced anew, and who stopped serving, or people would see it as well until
    Consul asks the next time.
    """
    agent = agent_at("10.0.0.1")
    assert agent.mark == agent_at("10.0.0.1").mark
    assert agent.mark != replace(agent, is_serving=False).mark
    assert agent.mark != agent_at("10.0.0.2").mark


async def test_what_stops_serving_is_critical_before_it_is_asked() -> None:
    """By a check that is its own word alone: of the others Consul keeps what it found last."""
    checks = (await announced(replace(agent_at("10.0.0.1"), is_serving=False)))["Checks"]
    assert [one["Status"] for one in checks if "TTL" in one] == ["critical"]
