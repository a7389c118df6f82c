"""Everybody who means the gateway ill, all at once, and somebody who only has a question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from services.gateway.web.agent import AGENT as WEB
from tandemkit.core.clock import SystemClock
from tandemkit.supervise.errands import Errands
from tandemkit.testing.model_servers import ModelServer, model_server
from tandemkit.testing.parts import fetch
from tests.cluster.abusing import Abuse
from tests.cluster.gateway_fleet import GatewayFleet, gateway_fleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
_MEBIBYTE = 1 << 20
# Heads that never end: more than the connections that the gateway has.
_LORISES, _READ_NOTHING = 560, 8
_CALLS, _CALL_S, _PAUSE_S = 60, 5.0, 0.1
_EACH_S = 0.005
_RESIDENT = re.compile(rb"\nprocess_resident_memory_bytes (\S+)")
_CLOCK = SystemClock()


@asynccontextmanager
async def redirecting() -> AsyncIterator[int]:
    """A site whose page is at an address that is not for it to name. Its port."""

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.2:{port}/")

    app = web.Application()
    app.add_routes([web.get("/", elsewhere)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


class Honest:
    """Each question comes by a connection of its own."""

    def __init__(self, fleet: GatewayFleet) -> None:
        self._fleet = fleet

    async def asks(self, path: str, value: object) -> tuple[int, dict[str, object]]:
        shown = {"authorization": f"Bearer {self._fleet.token}"}
        async with (
            asyncio.timeout(_CALL_S),
            aiohttp.ClientSession(headers=shown) as session,
            session.post(f"{self._fleet.url}{path}", json=value) as told,
        ):
            return told.status, await told.json(content_type=None)

    async def measures(self) -> None:
        status, told = await self.asks("/api/utility-toolbox/MeasureText", {"text": "mill"})
        assert (status, told["graphemes"]) == (200, "4")


async def _resident_bytes(fleet: GatewayFleet) -> float:
    """Of the gateway's host, by its own figures."""
    hosts = (await fleet.checkout.told("up", "-d"))["hosts"]
    (address,) = [one["http_address"] for one in hosts if one["host"] == "gateway"]
    (found,) = _RESIDENT.findall(await fetch(f"http://{address}/metrics"))
    return float(found)


async def test_the_fleet_serves_on_whoever_abuses_it() -> None:
    """Pages of others, strangers, gigabytes, ten thousand headers, heads that never end, answers
    that nobody takes, and a private address behind a redirect: refused each, while every call of an
    honest caller is answered, and the gateway's memory stays what it was.
    """
    async with redirecting() as port, model_server(ModelServer()) as backend:
        settings = {WEB.name: {"sites": [f"*:{port}"], "networks": ["127.0.0.1/32"]}}
        async with gateway_fleet(backend, WEB, more=settings) as fleet:
            await _abused(fleet, f"http://127.0.0.1:{port}/")


async def _abused(fleet: GatewayFleet, redirected: str) -> None:
    honest, abuse, errands = Honest(fleet), Abuse(fleet.url, fleet.token), Errands()

    async def inside() -> str:
        _status, told = await honest.asks("/api/gateway-web/ReadPage", {"url": redirected})
        return str(told["reason"])

    attacks = {
        "gigabyte": abuse.gigabyte,
        "endless": abuse.endless,
        "headers": abuse.headers,
        "stranger": abuse.stranger,
        "page": abuse.page,
        "bent": abuse.bent,
        "preflight": abuse.preflight,
        "inside": inside,
    }
    for _ in range(_CALLS):
        await honest.measures()
    before = await _resident_bytes(fleet)
    for name, attack in attacks.items():
        errands.start(abuse.over_and_over(name, attack))
    for number in range(_LORISES):
        after_s = number * _EACH_S
        errands.start(abuse.over_and_over("loris", abuse.loris, after_s))
    for _ in range(_READ_NOTHING):
        errands.start(abuse.over_and_over("reads nothing", abuse.reads_nothing))
    try:
        for _ in range(_CALLS):
            await honest.measures()
            await _CLOCK.sleep(_PAUSE_S)
        grown = await _resident_bytes(fleet) - before
    finally:
        await errands.end(0)
    refused = {
        "gigabyte": {"413", "hung up"},
        "endless": {"413", "hung up"},
        "headers": {"400", "431", "hung up"},
        "stranger": {"401"},
        "page": {"403"},
        "bent": {"421"},
        "preflight": {"403"},
        "inside": {"ADDRESS_REFUSED"},
        "loris": {"hung up"},
    }
    for name, allowed in refused.items():
        assert abuse.told[name], name
        assert set(abuse.told[name]) <= allowed, (name, abuse.told[name])
    assert abuse.sent_bytes_max < 64 * _MEBIBYTE
    assert grown < 32 * _MEBIBYTE
    await honest.measures()
