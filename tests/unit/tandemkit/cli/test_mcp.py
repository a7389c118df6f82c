"""What `./tandem mcp` makes of a gateway that is slow, refuses, breaks off or is not there."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from tandemkit.cli import mcp
from tandemkit.cli.carrying import Carrier
from tandemkit.cli.output import Refusal
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.token import Token
from tandemkit.testing.clock import FakeClock

_CLOCK = SystemClock()
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


class Server:
    """Answers by the method that is asked, and knows what was sent beside it."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], dict[str, str], dict[str, str]]] = []
        self.asked, self.hung_up = asyncio.Event(), asyncio.Event()
        self.streams = 0

    async def post(self, request: web.Request) -> web.StreamResponse:
        message = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((message, headers, dict(request.query)))
        self.asked.set()
        match message["method"]:
            case "forever":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.hung_up.set()
            case "refused":
                refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no"}}
                return web.json_response(refusal, status=401)
            case "plain":
                return web.Response(status=500, text="broken")
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "broken off":
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await response.prepare(request)
                await response.write(b'data: {"jsonrpc":"2.0","method":"m"}\n\n')
                return response
        result = {"protocolVersion": "2025-06-18"} if message["method"] == "initialize" else {}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The first stream ends at once, as that of a gateway which does."""
        self.streams += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if self.streams > 1:
            await asyncio.Event().wait()
        return response

    @asynccontextmanager
    async def serving(
        self, folder: Path, agents: str = "", clock: Clock = _CLOCK
    ) -> AsyncIterator[Carrier]:
        """Someone who carries messages to it."""
        application = web.Application()
        application.router.add_post("/mcp", self.post)
        application.router.add_get("/mcp", self.get)
        application.router.add_get("/health", _nothing)
        runner = web.AppRunner(application, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        token = Token.kept(folder / "token")
        try:
            async with Carrier.at(url, agents, token, clock) as carrier:
                yield carrier
        finally:
            await runner.cleanup()


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response()


async def _lines(*messages: object) -> AsyncIterator[bytes]:
    for message in messages:
        yield message if isinstance(message, bytes) else json.dumps(message).encode()


def _told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_what_the_handshake_agreed_on_goes_with_what_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the token, and the agents that are wanted; the handshake itself has no revision yet."""
    server = Server()
    async with server.serving(tmp_path, "a,b") as carrier:
        await carrier.carry(_lines({**PING, "method": "initialize"}))
        await carrier.carry(_lines(PING))
    assert len(_told(capsys)) == 2
    (_, first, query), (_, second, _) = server.seen
    assert "mcp-protocol-version" not in first
    assert second["mcp-protocol-version"] == "2025-06-18"
    assert first["authorization"].startswith("Bearer ")
    assert query == {"agents": "a,b"}


async def test_a_request_without_a_handshake_says_in_headers_what_it_is(tmp_path: Path) -> None:
    """As the protocol wants it over HTTP; what is no ASCII is encoded."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    asked = {**PING, "method": "tools/call", "params": {"name": "ü", "_meta": meta}}
    server = Server()
    async with server.serving(tmp_path) as carrier:
        await carrier.carry(_lines(asked))
    headers = server.seen[0][1]
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "=?base64?w7w=?="


@pytest.mark.parametrize(
    ("method", "code", "said"),
    [
        ("refused", -32600, "no"),
        ("plain", -32603, "HTTP status 500"),
        ("broken off", -32603, "ask again"),
        ("cut", -32603, "the connection broke"),
    ],
)
async def test_every_request_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, code: int, said: str
) -> None:
    """Whatever the gateway does: a client waits for the id that it sent."""
    async with Server().serving(tmp_path) as carrier:
        await carrier.carry(_lines({**PING, "id": "seven", "method": method}))
    answer = _told(capsys)[-1]
    assert (answer["id"], answer["error"]["code"]) == ("seven", code)
    assert said in answer["error"]["message"]


async def test_a_cancelled_request_is_hung_up_and_not_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the gateway knows without a session."""
    server = Server()

    async def lines() -> AsyncIterator[bytes]:
        yield json.dumps({**PING, "method": "forever"}).encode()
        await server.asked.wait()
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
        yield json.dumps({**cancelled, "params": {"requestId": 1}}).encode()
        await server.hung_up.wait()

    async with server.serving(tmp_path) as carrier, asyncio.timeout(10):
        await carrier.carry(lines())
    assert _told(capsys) == []


async def test_a_line_that_is_no_json_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And those behind it are taken."""
    async with Server().serving(tmp_path) as carrier:
        await carrier.carry(_lines(b"{", b"", b"[" * 100_000, b"\xff", PING))
    codes = [one.get("error", {}).get("code") for one in _told(capsys)]
    assert codes == [-32700, -32700, -32700, None]


@pytest.mark.parametrize("params", [[1], "x", {"_meta": "x"}, {"_meta": [1]}, None])
async def test_odd_parameters_are_the_gateways_to_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], params: object
) -> None:
    """They are carried like all others, and what is answered to them too."""
    asked = {**PING, "method": "tools/call", "params": params}
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    async with Server().serving(tmp_path) as carrier:
        await carrier.carry(_lines(cancelled, asked, {**asked, "method": "logging/setLevel"}))
    assert [one["result"] for one in _told(capsys)] == [{}, {}]


async def test_a_gateway_that_is_away_is_told_and_no_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may come back; only a start without one is refused."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    async with Carrier.at(f"http://127.0.0.1:{port}", "", Token.kept(tmp_path / "t")) as carrier:
        assert await carrier.lacks() == "nobody listens there"
        await carrier.carry(_lines(PING))
    (answer,) = _told(capsys)
    assert "the fleet does not answer" in answer["error"]["message"]


async def test_a_client_hears_of_a_gateway_that_is_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tools may be others than those of the one before."""
    clock, told = FakeClock(), ""

    async def lines() -> AsyncIterator[bytes]:
        nonlocal told
        yield b'{"jsonrpc": "2.0", "method": "notifications/initialized"}'
        while "notifications/tools/list_changed" not in told:
            await clock.advance(5.0)
            told += capsys.readouterr().out

    server = Server()
    async with server.serving(tmp_path, clock=clock) as carrier, asyncio.timeout(10):
        await carrier.carry(lines())
    assert server.streams == 2
    assert told.count("list_changed") == 1


async def test_a_stdin_that_nobody_can_wait_for_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as /dev/null, which the loop's selector refuses."""
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(FileIO(os.devnull)))
    assert [line async for line in mcp._lines()] == []


def test_an_address_that_is_none_of_http_is_refused() -> None:
    """Before anything is sent there."""
    done = CliRunner().invoke(mcp.mcp, ["--url", "ftp://pc2"])
    assert isinstance(done.exception, Refusal)
    assert "https://pc2:10010" in done.exception.message
