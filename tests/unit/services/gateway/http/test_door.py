"""How much of the gateway one address and one caller may have, against the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from services.gateway.http.door import place_of
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.caller_key import CallerKey
from tests.cluster.eventually import eventually
from tests.unit.services.gateway.http.gateways import ADDRESS, Gateway, Probing, gateway

TAIL = "/api/probe-probe/Tail"
ENDLESS = {"text": "a forever"}


@asynccontextmanager
async def of_address(it: Gateway, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with the token, at another address of the loopback."""
    way = aiohttp.TCPConnector(local_addr=(address, 0))
    shown = {"authorization": it.token.bearer}
    async with aiohttp.ClientSession(connector=way, headers=shown) as client:
        yield client


async def test_one_address_has_no_more_connections_than_it_may(
    tmp_path: Path, probing: Probing
) -> None:
    """Its own that ask nothing make room; where all are busy it gets none, and others do."""
    settings = cfg.HttpSettings(address=ADDRESS, connections_per_address_max=2)
    async with gateway(tmp_path, probing.agent, settings=settings) as it, AsyncExitStack() as stack:
        greedy = await stack.enter_async_context(of_address(it, "127.0.0.2"))
        modest = await stack.enter_async_context(of_address(it, "127.0.0.3"))
        for _ in range(4):
            idle = await stack.enter_async_context(of_address(it, "127.0.0.2"))
            async with idle.get(f"{it.url}/health") as told:
                assert told.status == 200
        for _ in range(2):
            stream = greedy.post(f"{it.url}{TAIL}", json=ENDLESS)
            told = await stack.enter_async_context(stream)
            assert await told.content.readline()
        with pytest.raises(aiohttp.ClientConnectionError):
            await greedy.get(f"{it.url}/health")
        async with modest.get(f"{it.url}/health") as told:
            assert told.status == 200


async def test_one_caller_has_no_more_requests_in_progress_than_it_may(tmp_path: Path) -> None:
    """Else a few streams without an end would be all that there are."""
    settings = cfg.HttpSettings(address=ADDRESS, requests_per_key_max=1)
    async with gateway(tmp_path, settings=settings) as it:
        ada, bob = (
            {
                "authorization": f"Bearer {CallerKey(one, 1, 32_503_680_000).signed(it.token)}",
                "accept": "text/event-stream",
            }
            for one in ("ada", "bob")
        )

        async def status(shown: dict[str, str]) -> int:
            async with it.client.get(f"{it.url}/nothing", headers=shown) as told:
                return told.status

        async with it.client.get(f"{it.url}/mcp", headers=ada) as listening:
            assert listening.status == 200
            async with it.client.get(f"{it.url}/nothing", headers=ada) as told:
                problem = await told.json(content_type=None)
            assert (told.status, problem["reason"]) == (429, "RATE_EXCEEDED")
            assert problem["metadata"] == {"caller": "callers/ada", "in_progress_max": "1"}
            assert (problem["retryAfter"], told.headers["retry-after"]) == ("1s", "1")
            assert await status(bob) == 404
        await eventually(lambda: status(ada), lambda found: found == 404)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
    ],
)
def test_a_place_is_an_address_or_a_network_of_ipv6(address: str, place: str) -> None:
    """Of whose addresses anybody has more than there are connections."""
    assert place_of(address) == place


@pytest.fixture
def probing() -> Probing:
    return Probing()
