"""Connections that are kept, at a server that closes them when it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.ml.servers.http import connected
from tandemkit.ml.servers.server import Passing, Server
from tandemkit.reach.failure import Refused


class Closing:
    """Says that it keeps a connection, and closes it with the second request, unanswered."""

    def __init__(self, *, answers: bool, said: bytes = b"{}") -> None:
        self.answers, self.said = answers, said
        self.requests = self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for is_first in (True, False):
            await reader.readuntil(b"{}")
            self.requests += 1
            if is_first and self.answers:
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                writer.write(head + b"Content-Length: %d\r\n\r\n" % len(self.said) + self.said)
                await writer.drain()
                continue
            break
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening(closing: Closing) -> AsyncIterator[str]:
    server = await asyncio.start_server(closing.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def test_a_connection_that_the_server_closed_is_no_failure() -> None:
    """The request goes over a new one, at once."""
    closing = Closing(answers=True)
    async with (
        listening(closing) as address,
        connected(Server(address, None), SystemClock()) as http,
    ):
        for _ in range(3):
            assert await http.once("POST", "/", {}) == {}
    assert closing.connections == 3


async def test_a_server_that_closes_without_an_answer_is_asked_once() -> None:
    """Over a new connection there is no excuse for it."""
    closing = Closing(answers=False)
    async with (
        listening(closing) as address,
        connected(Server(address, None), SystemClock()) as http,
    ):
        with pytest.raises(Passing):
            await http.once("POST", "/", {})
    assert closing.requests == 1


async def test_an_answer_that_is_nested_without_end_is_none() -> None:
    """What says so is the server's failure, and no defect of ours."""
    async with (
        listening(Closing(answers=True, said=b"[" * 100_000)) as address,
        connected(Server(address, None), SystemClock()) as http,
    ):
        with pytest.raises(Refused, match="no server of models"):
            await http.once("POST", "/", {})
