"""The HTTP port answers those that name its host, and lets nobody else hold it up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from tandemkit.hosting import http_port as module
from tandemkit.hosting.http_port import (
    BODY_BYTES_MAX,
    CONNECTIONS_MAX,
    HEAD_BYTES_MAX,
    Answer,
    HttpRefused,
    Request,
    address_of,
    http_port,
    listening,
)
from tests.unit.tandemkit.hosting.asking import get, told

ADVERTISED = "ten.example"


def page(path: str, accept: str) -> Answer:
    return Answer(HTTPStatus.OK, f"{path} for {accept}")


@asynccontextmanager
async def answering() -> AsyncIterator[socket.socket]:
    held = listening("127.0.0.1:0")
    async with http_port(held, page, {ADVERTISED}):
        yield held


async def test_a_page_is_answered_and_the_connection_ends() -> None:
    """With headers that keep browsers from guessing and caches from keeping."""
    async with answering() as held:
        found = await get(held, "/health?verbose", "text/html")
        assert (found.status, found.body) == (200, b"/health for text/html")
        assert found.headers["Content-Length"] == str(len(found.body))
        assert found.headers["Connection"] == "close"
        assert found.headers["Cache-Control"] == "no-store"
        assert found.headers["X-Content-Type-Options"] == "nosniff"


async def test_head_is_get_without_the_body() -> None:
    """It has the length that the body would have."""
    async with answering() as held:
        found = await told(held, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (found.status, found.headers["Content-Length"], found.body) == (200, "6", b"")


@pytest.mark.parametrize(
    "host", ["localhost:1", "LOCALHOST", "127.0.0.9:80", "[::1]:9", ADVERTISED]
)
async def test_a_name_of_the_host_is_answered(host: str) -> None:
    """Loopback by name and number, with or without a port, and what callers are told."""
    async with answering() as held:
        assert (await told(held, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil@localhost", "10.0.0.1", "", "[::2]"]
)
async def test_another_hosts_name_is_refused(host: str) -> None:
    """A page whose name was turned to this address learns nothing: it still says its own name."""
    async with answering() as held:
        found = await told(held, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert (found.status, found.body) == (421, b"421 Misdirected Request\n")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n", 403),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody", 405),
        ("GET / HTTP/1.0\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        ("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400),
        ("\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {'x' * HEAD_BYTES_MAX}\r\n\r\n", 431),
    ],
)
async def test_what_is_no_plain_question_is_refused(request_text: str, status: int) -> None:
    """By its own status, and the next caller is answered."""
    async with answering() as held:
        assert (await told(held, request_text)).status == status
        assert (await get(held, "/")).status == 200


async def test_a_silent_caller_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody holds a connection by saying nothing, or half of something."""
    monkeypatch.setattr(module, "WITHIN_S", 0.05)
    async with answering() as held:
        with pytest.raises(ConnectionError):
            await told(held, "GET / HTTP/1.1\r\nHost: loc")


async def test_one_connection_too_many_is_hung_up() -> None:
    """And there is room again once one of them has ended."""
    async with answering() as held:
        address = held.getsockname()
        silent = [await asyncio.open_connection(*address) for _ in range(CONNECTIONS_MAX)]
        with pytest.raises(ConnectionError):
            await get(held, "/")
        reader, writer = silent.pop()
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await writer.wait_closed()
        for _reader, one in silent:
            one.close()
            await one.wait_closed()


async def test_the_port_ends_with_its_block() -> None:
    """A caller that is connected does not hold the host up, and a new one finds nobody."""
    async with answering() as held:
        address = held.getsockname()
        reader, writer = await asyncio.open_connection(*address)
    with pytest.raises(ConnectionError):
        assert await reader.read() == b""
        await asyncio.open_connection(*address)
    writer.close()


def test_a_port_that_cannot_be_listened_on_is_said_at_once() -> None:
    """Taken, or no address at all: the message names it."""
    with listening("127.0.0.1:0") as held:
        taken = address_of(held)
        with pytest.raises(HttpRefused, match=taken):
            listening(taken)
    for address in ("9101", "127.0.0.1:http", "127.0.0.1:99999", "nowhere.invalid:1"):
        with pytest.raises(HttpRefused, match=address):
            listening(address)


async def test_what_is_posted_is_answered_with_its_body() -> None:
    """Whole, though it comes in two parts; more than is taken is refused before it is read."""

    def post(request: Request, body: bytes) -> Answer:
        return Answer(HTTPStatus.OK, f"{request.path} {len(body)}", headers=(("ETag", "x"),))

    held = listening("127.0.0.1:0")
    async with http_port(held, page, set(), post):
        size = HEAD_BYTES_MAX * 3
        found = await told(held, _post(f"Content-Length: {size}", "x" * size))
        assert (found.status, found.body) == (200, f"/a {size}".encode())
        assert found.headers["ETag"] == "x"
        assert (await told(held, _post(f"Content-Length: {BODY_BYTES_MAX + 1}", ""))).status == 413
        assert (await told(held, _post("Content-Length: " + "9" * 400, ""))).status == 413
        assert (await told(held, _post("Transfer-Encoding: chunked", "0\r\n\r\n"))).status == 411
        assert (await told(held, _post("Content-Length: -1", ""))).status == 411


def _post(header: str, body: str) -> str:
    return f"POST /a HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n{body}"
