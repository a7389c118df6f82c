"""Whom the gateway keeps out, against the real server: after each attack it serves on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from multidict import CIMultiDict

from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.caller_key import CallerKey
from tests.unit.services.gateway.http.gateways import ADDRESS, Gateway, Probing, gateway
from tests.unit.services.gateway.http.raw import wire

ECHO = "/api/probe-probe/Echo"
PAGE = "https://ui.example"
# Paths of faces, and where each keeps what it says of a failure besides its protocol's words.
_FACES = {
    "/api/probe-probe/Echo": (),
    "/v1/chat/completions": ("error",),
    "/v2/models/a/infer": (),
    "/mcp": ("error", "data"),
}


@pytest.fixture
def probing() -> Probing:
    return Probing()


@pytest_asyncio.fixture
async def it(tmp_path: Path, probing: Probing) -> AsyncIterator[Gateway]:
    settings = cfg.HttpSettings(address=ADDRESS, origins=[PAGE], names=["tandem.example"])
    async with gateway(tmp_path, probing.agent, settings=settings) as running:
        yield running


async def serves_on(it: Gateway) -> bool:
    """Whether whoever may ask is answered."""
    return await it.post(ECHO, {"text": "a"}) == (200, {"text": "a"})


async def asked(it: Gateway, **options: Any) -> tuple[int, Any, Any]:
    """Status, problem and headers of a request without the usual token."""
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.post(f"{it.url}{ECHO}", json={"text": "a"}, **options) as told,
    ):
        return told.status, await told.json(content_type=None), told.headers


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({}, "TOKEN_MISSING"),
        ({"authorization": "Bearer wrong"}, "TOKEN_WRONG"),
        ({"authorization": "Basic dTpw"}, "TOKEN_WRONG"),
        ({"x-api-key": "wrong"}, "TOKEN_WRONG"),
        ({"authorization": "Bearer tandem-key.ada.1.2.AAAA"}, "KEY_REFUSED"),
    ],
)
async def test_without_a_token_nobody_is_answered(
    it: Gateway, probing: Probing, shown: dict[str, str], reason: str
) -> None:
    """No agent hears of it."""
    status, problem, headers = await asked(it, headers=shown)
    assert (status, problem["reason"]) == (401, reason)
    assert headers["www-authenticate"] == "Bearer"
    assert probing.metadata == []
    assert await serves_on(it)


async def test_every_path_but_health_asks_for_the_token(it: Gateway) -> None:
    """A path that nobody has tells a stranger nothing either."""
    async with aiohttp.ClientSession() as stranger:
        for path in ("/", "/api/", "/api/probe-probe/Echo", "/nothing", "//health", "/health/x"):
            async with stranger.get(f"{it.url}{path}") as told:
                assert told.status == 401, path
        async with stranger.get(f"{it.url}/health") as told:
            assert await told.json() == {"status": "SERVING"}


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
async def test_the_token_may_stand_where_others_keep_their_keys(it: Gateway, header: str) -> None:
    """Clients of other protocols send it so."""
    token = it.token.bearer.removeprefix("Bearer ")
    assert (await asked(it, headers={header: token}))[0] == 200


async def test_a_key_opens_what_asks_for_callers_and_nothing_else(it: Gateway) -> None:
    """As over gRPC: the gateway gives nobody more than it has."""
    key = CallerKey("ada", 1, 32_503_680_000).signed(it.token)
    status, problem, _ = await asked(it, headers={"authorization": f"Bearer {key}"})
    assert (status, problem["reason"]) == (403, "KEY_NOT_ENOUGH")


async def test_a_page_that_bent_a_name_to_us_is_refused(it: Gateway) -> None:
    """Its `Host` is its own name still; names of the settings and of the loopback are ours."""
    port = urlsplit(it.url).port
    shown = {"authorization": it.token.bearer}
    for host, status in (
        ("evil.example", 421),
        (f"evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost", 200),
        (f"[::1]:{port}", 200),
        ("tandem.example", 200),
    ):
        assert (await asked(it, headers={**shown, "host": host}))[0] == status, host


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://ui.example"])
async def test_a_page_of_another_origin_is_refused(
    it: Gateway, probing: Probing, origin: str
) -> None:
    """Also with the token, and its browser is told so before."""
    shown = {"authorization": it.token.bearer, "origin": origin}
    status, problem, headers = await asked(it, headers=shown)
    assert (status, problem["reason"]) == (403, "ORIGIN_REFUSED")
    assert "access-control-allow-origin" not in headers
    assert probing.metadata == []
    before = {"origin": origin, "access-control-request-method": "POST"}
    async with it.client.options(f"{it.url}{ECHO}", headers=before) as told:
        assert told.status == 403
    assert await serves_on(it)


async def test_a_page_of_a_configured_origin_may_ask(it: Gateway) -> None:
    """Its browser asks first, without the token, and may show the page what comes."""
    before = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    async with (
        aiohttp.ClientSession() as browser,
        browser.options(f"{it.url}{ECHO}", headers=before) as told,
    ):
        assert told.status == 204
        assert told.headers["access-control-allow-origin"] == PAGE
        assert "POST" in told.headers["access-control-allow-methods"]
        assert "authorization" in told.headers["access-control-allow-headers"]
    shown = {"authorization": it.token.bearer, "origin": PAGE}
    status, _, headers = await asked(it, headers=shown)
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    assert headers["vary"] == "Origin"


async def test_pages_that_the_gateway_shows_itself_may_ask(it: Gateway) -> None:
    """Their origin is its own."""
    shown = {"authorization": it.token.bearer, "origin": it.url}
    assert (await asked(it, headers=shown))[0] == 200


async def test_every_answer_says_how_browsers_are_to_take_it(it: Gateway) -> None:
    """Not guessed at, not kept, not framed."""
    for path in ("/health", "/nothing"):
        async with it.client.get(f"{it.url}{path}") as told:
            assert told.headers["x-content-type-options"] == "nosniff"
            assert told.headers["cache-control"] == "no-store"
            assert told.headers["x-frame-options"] == "DENY"
            assert "aiohttp" not in told.headers["server"]


@pytest.mark.parametrize(
    "header", ["authorization", "x-api-key", "x-tandem-timeout", "traceparent", "origin"]
)
async def test_a_header_that_stands_twice_is_refused(
    it: Gateway, probing: Probing, header: str
) -> None:
    """Whichever the gateway went by, a proxy before it may have gone by the other one."""
    twice = CIMultiDict([("authorization", it.token.bearer)])
    twice.update({header: it.token.bearer})
    twice.add(header, "Bearer wrong")
    status, problem, headers = await asked(it, headers=twice)
    assert (status, problem["reason"]) == (400, "HEADER_INVALID")
    assert problem["metadata"] == {"header": header}
    assert headers["content-type"] == "application/problem+json"
    assert probing.metadata == []
    lists = CIMultiDict([("authorization", it.token.bearer), ("accept", "*/*")])
    lists.add("accept", "application/json")
    assert (await asked(it, headers=lists))[0] == 200
    async with wire(it.url) as caller:
        await caller.send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
        await caller.send(f"{header.title()}: a\r\n{header}: a\r\n\r\n".encode())
        assert await caller.status() == 400


async def test_a_caller_with_a_key_asks_no_more_often_than_it_may(
    tmp_path: Path, probing: Probing
) -> None:
    """Each has a bucket of its own; who has the token has no limit unless the settings say so."""
    rate = cfg.HttpRate(per_second=0.5, at_once=2)
    settings = cfg.HttpSettings(address=ADDRESS, key_rate=rate)
    async with gateway(tmp_path, probing.agent, settings=settings) as it:
        ada, bob = (
            {"authorization": f"Bearer {CallerKey(one, 1, 32_503_680_000).signed(it.token)}"}
            for one in ("ada", "bob")
        )
        assert [(await asked(it, headers=ada))[0] for _ in range(2)] == [403, 403]
        status, problem, headers = await asked(it, headers=ada)
        assert (status, problem["reason"]) == (429, "RATE_EXCEEDED")
        assert headers["retry-after"] in {"1", "2"}
        assert 0 < float(problem["retryAfter"].removesuffix("s")) <= 2
        for path, where in _FACES.items():
            async with it.client.post(f"{it.url}{path}", json={}, headers=ada) as told:
                value = await told.json()
                assert (told.status, "retry-after" in told.headers) == (429, True), path
            for key in where:
                value = value[key]
            assert 0 < float(value["retryAfter"].removesuffix("s")) <= 2, path
        assert (await asked(it, headers=bob))[0] == 403
        assert await serves_on(it)
