"""What is too large, too slow, too much or no HTTP at all, against the real server: after each it
serves on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from services.gateway.http import body, serving
from tandem.gateway.config.v1 import http_pb2 as cfg
from tests.unit.services.gateway.http.gateways import ADDRESS, Gateway, Probing, gateway
from tests.unit.services.gateway.http.raw import Wire, wire

ECHO = "/api/probe-probe/Echo"
GIGABYTE = 1_000_000_000
MEBIBYTE = 1 << 20
_LITTLE = 4096
_PATIENCE_S, _STUCK_S = 20.0, 0.3
# Many times, for it is open to everybody.
_CHUNKED = b"transfer-encoding: chunked\r\n"
_PAGE = b"GET /docs/page.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100


@pytest.fixture
def probing() -> Probing:
    return Probing()


@pytest_asyncio.fixture
async def it(tmp_path: Path, probing: Probing) -> AsyncIterator[Gateway]:
    settings = cfg.HttpSettings(address=ADDRESS, body_bytes_max=MEBIBYTE)
    async with gateway(tmp_path, probing.agent, settings=settings) as running:
        yield running


async def serves_on(it: Gateway) -> bool:
    """Whether whoever may ask is answered."""
    return await it.post(ECHO, {"text": "a"}) == (200, {"text": "a"})


async def test_a_body_of_a_gigabyte_is_refused_before_it_is_read(it: Gateway) -> None:
    """By its length, without waiting for it."""
    head = _head(it, f"content-length: {GIGABYTE}")
    async with wire(it.url) as caller:
        await caller.send(head + b'{"text": "')
        assert await caller.status() == 413
        assert await caller.closed()
    assert await serves_on(it)


async def test_a_body_without_an_end_is_refused_where_it_is_too_large(it: Gateway) -> None:
    """Of one that does not say its length no more is read than may be."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    async with wire(it.url) as caller:
        await caller.send(_head(it, "transfer-encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            while sent < GIGABYTE:
                await caller.send(chunk)
                sent += len(chunk)
        assert await caller.closed()
    assert sent < 64 * MEBIBYTE
    assert await serves_on(it)


async def test_a_body_that_swells_when_unpacked_is_refused(it: Gateway) -> None:
    """What counts is what it becomes."""
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    packed = gzip.compress(b" " * (64 * MEBIBYTE))
    async with it.client.post(f"{it.url}{ECHO}", data=packed, headers=headers) as told:
        assert told.status == 413
    assert await serves_on(it)


async def test_who_asks_before_sending_too_much_is_told_no(it: Gateway) -> None:
    """`Expect: 100-continue` is answered by the refusal itself."""
    async with wire(it.url) as caller:
        await caller.send(_head(it, f"content-length: {GIGABYTE}", "expect: 100-continue"))
        assert await caller.status() == 413
    assert await serves_on(it)


async def test_ten_thousand_headers_are_refused(it: Gateway) -> None:
    """Also a few that are too long, and a path that is."""
    many = _head(it, *(f"x-{number}: a" for number in range(10_000)))
    long = _head(it, f"x-long: {'a' * 100_000}")
    path = _head(it).replace(b"/Echo", b"/Echo" + b"o" * 100_000)
    for head in (many, long, path):
        async with wire(it.url) as caller:
            await caller.send(head)
            assert await caller.status() in {400, 431}
            assert await caller.closed()
    assert await serves_on(it)


async def test_a_head_that_comes_too_slowly_is_hung_up(
    it: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line a moment does not keep a connection, also not behind a request that was whole."""
    monkeypatch.setattr(serving, "HEAD_S", 0.3)
    for before in (b"", _head(it, "content-length: 2") + b"{}"):
        async with wire(it.url) as caller:
            if before:
                await caller.send(before)
                assert await caller.status() == 200
            await caller.send(b"GET /health HTTP/1.1\r\nx-a: b\r\n")
            assert await caller.closed()
    assert await serves_on(it)


async def test_a_body_that_comes_too_slowly_is_refused(
    it: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so, and its connection is closed."""
    monkeypatch.setattr(body, "WITHIN_S", 0.3)
    async with wire(it.url) as caller:
        await caller.send(_head(it, "content-length: 100") + b"{")
        assert await caller.status() == 408
        assert await caller.closed()
    assert await serves_on(it)


async def test_connections_that_ask_nothing_make_room(tmp_path: Path, probing: Probing) -> None:
    """Whoever opens all that there are keeps nobody out."""
    settings = cfg.HttpSettings(address=ADDRESS, connections_max=8)
    async with gateway(tmp_path, probing.agent, settings=settings) as it:
        parts = urlsplit(it.url)
        opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(32)]
        assert await serves_on(it)
        for _reader, writer in opened:
            writer.transport.abort()


async def test_who_reads_nothing_makes_room(tmp_path: Path, probing: Probing) -> None:
    """Strangers may ask for much and take none of it: they keep nobody out."""
    settings = cfg.HttpSettings(address=ADDRESS, connections_max=4)
    async with gateway(tmp_path, probing.agent, settings=settings) as it, AsyncExitStack() as stack:
        for _ in range(4):
            caller = await stack.enter_async_context(wire(it.url, reads_bytes=_LITTLE))
            await _ask_until_stuck(caller)
        assert await serves_on(it)


async def test_who_reads_nothing_is_hung_up(
    tmp_path: Path, probing: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stays, though nobody needs the room."""
    monkeypatch.setattr(serving, "TAKEN_S", 0.5)
    settings = cfg.HttpSettings(address=ADDRESS)
    async with (
        gateway(tmp_path, probing.agent, settings=settings) as it,
        wire(it.url, reads_bytes=_LITTLE) as caller,
        asyncio.timeout(_PATIENCE_S),
    ):
        with pytest.raises(ConnectionError):
            while True:
                await caller.send(_PAGE)
        assert await serves_on(it)


async def test_requests_one_behind_the_other_are_answered_in_their_order(it: Gateway) -> None:
    """HTTP/1.1 pipelining, and a connection that is used again."""
    ask = _head(it, "content-length: 2") + b"{}"
    wrong = ask.replace(b"/Echo", b"/Nothing")
    async with wire(it.url) as caller:
        await caller.send(ask + wrong + ask)
        assert [await caller.status() for _ in range(3)] == [200, 404, 200]
        await caller.send(ask)
        assert await caller.status() == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\n" + _CHUNKED + _CHUNKED + b"\r\n0",
        b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0",
        b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0",
        b"GET /\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(it: Gateway, garbage: bytes) -> None:
    """Or says two things at once."""
    async with wire(it.url) as caller:
        await caller.send(garbage + b"\r\n\r\n")
        assert await caller.status() == 400
        assert await caller.closed()
    assert await serves_on(it)


async def _ask_until_stuck(caller: Wire) -> None:
    """For more than fits between the two of them."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                async with asyncio.timeout(_STUCK_S):
                    await caller.send(_PAGE)


def _head(it: Gateway, *headers: str) -> bytes:
    """Of a POST by somebody who has the token."""
    lines = (
        f"POST {ECHO} HTTP/1.1",
        "host: localhost",
        f"authorization: {it.token.bearer}",
        "content-type: application/json",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(it: Gateway, encoding: str) -> None:
    """By a word to its caller, and no defect of ours."""
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    async with it.client.post(f"{it.url}{ECHO}", data=b'{"text": 1}', headers=headers) as told:
        assert (told.status, (await told.json(content_type=None))["reason"]) == (
            400,
            "HTTP_INVALID",
        )
    assert await serves_on(it)
