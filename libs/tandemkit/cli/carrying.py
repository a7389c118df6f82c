"""Messages of the Model Context Protocol from one transport to the other: a line each on one side,
a request each over HTTP on the other. No message is changed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from errno import ECONNREFUSED
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.listeners import strangers_at
from tandemkit.core.token import Token
from tandemkit.supervise.errands import Errands

_BOTH: Final = "application/json, text/event-stream"
_EVENTS: Final = "text/event-stream"
_JSON: Final = "application/json"
_PATH: Final = "/mcp"
_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_CONNECT_S: Final = 5.0
# Between looks for a gateway that is away.
_AGAIN_S: Final = 5.0
# For what is in progress when the client has said all; what it still wants it waits for.
_GRACE_S: Final = 1.5
_INTERNAL_ERROR: Final = -32603
_PARSE_ERROR: Final = -32700
_EVENT_BYTES_MAX: Final = 16 * 1024 * 1024
_CLOCK: Final = SystemClock()
_LOST: Final = (aiohttp.ClientError, TimeoutError, ValueError)


class Carrier:
    """One client. Cancelling is hanging up here, so the gateway needs no session."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, agents: str, token: Token, clock: Clock
    ) -> None:
        self._http, self._url, self._token, self._clock = http, url, token, clock
        self._errands, self._is_listening = Errands(), False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wanted = {"agents": agents} if agents else {}
        # What the handshake agreed on; empty in the revision without one.
        self._version = ""

    @classmethod
    @asynccontextmanager
    async def at(
        cls, url: str, agents: str, token: Token, clock: Clock = _CLOCK
    ) -> AsyncIterator[Carrier]:
        """`url` is the gateway's own, without a path."""
        patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        trace = aiohttp.TraceConfig()

        async def connected(*_: object) -> None:
            """Nobody is shown the token who took the port of a fleet that is away."""
            for user in strangers_at(urlsplit(url).netloc):
                raise ValueError(f"a process of user {user}, who is not you, listens there")

        trace.on_connection_create_end.append(connected)
        async with aiohttp.ClientSession(
            timeout=patience, read_bufsize=_EVENT_BYTES_MAX, trace_configs=[trace]
        ) as http:
            yield cls(http, url, agents, token, clock)

    async def lacks(self) -> str:
        """Why nothing can be carried there; empty where it can."""
        try:
            async with self._http.get(f"{self._url}/health"):
                return ""
        except _LOST as error:
            return _why(error)

    async def carry(self, lines: AsyncIterator[bytes]) -> None:
        """Until there are no more; what is asked at the end is answered, if that is soon."""
        try:
            async for line in lines:
                if line.strip():
                    self._take(line)
            if self._running:
                await asyncio.wait(self._running.values(), timeout=_GRACE_S)
        finally:
            await self._errands.end(0)

    def _take(self, line: bytes) -> None:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            _say(_failure(None, "a line is no JSON", _PARSE_ERROR))
            return
        if not isinstance(value, dict):
            # Several at once, of the revision that has that: a line each is answered.
            self._errands.start(self._ask(line, {}, None))
        elif "id" in value and "method" in value:
            identity = json.dumps(value["id"])
            task = self._errands.start(self._ask(line, value, value["id"]))
            self._running[identity] = task
            task.add_done_callback(lambda _: self._running.pop(identity, None))
        else:
            self._note(value)

    def _note(self, value: Mapping[str, Any]) -> None:
        """A notification: of those there are, two have a consequence."""
        match value.get("method"):
            case "notifications/cancelled":
                params = _object(value.get("params"))
                if task := self._running.get(json.dumps(params.get("requestId"))):
                    task.cancel()
            case "notifications/initialized" if not self._is_listening:
                self._is_listening = True
                self._errands.start(self._listen())

    async def _ask(self, line: bytes, value: Mapping[str, Any], identity: Any) -> None:
        """Says what is answered, and that nothing was."""
        is_answered = False
        try:
            async for told in self._told(line, value):
                is_answered = is_answered or "method" not in told
                self._learn(value, told)
                _say({**told, "id": identity} if told.get("id", "") is None else told)
        except _LOST as error:
            if not is_answered:
                _say(_failure(identity, f"the fleet does not answer: {_why(error)}"))
        else:
            if not is_answered and identity is not None:
                _say(_failure(identity, "the gateway went away before it answered; ask again"))

    async def _told(self, line: bytes, value: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        headers = {"accept": _BOTH, "content-type": _JSON, **self._headers(value)}
        asked = self._http.post(
            f"{self._url}{_PATH}", data=line, headers=headers, params=self._wanted
        )
        async with asked as response:
            if response.content_type == _EVENTS:
                async for told in _events(response):
                    yield told
            elif response.content_type == _JSON:
                answer = await response.json()
                for one in answer if isinstance(answer, list) else (answer,):
                    yield one
            elif not response.ok:
                raise ValueError(f"it says no more than HTTP status {response.status}")

    def _headers(self, value: Mapping[str, Any]) -> dict[str, str]:
        shown = dict((self._token.header,))
        params = _object(value.get("params"))
        version = _object(params.get("_meta")).get(_VERSION_KEY)
        if version is None:
            agreed = {"mcp-protocol-version": self._version} if self._version else {}
            return shown | ({} if value.get("method") == "initialize" else agreed)
        method = str(value["method"])
        named = params.get(_NAMED_BY.get(method, ""))
        about = {"mcp-protocol-version": str(version), "mcp-method": method}
        return shown | about | ({"mcp-name": _safe(named)} if isinstance(named, str) else {})

    def _learn(self, asked: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        result = told.get("result")
        if result is not None and asked.get("method") == "initialize":
            self._version = result["protocolVersion"]
        elif result is not None and asked.get("method") == "logging/setLevel":
            self._wanted["level"] = str(_object(asked.get("params")).get("level", ""))

    async def _listen(self) -> None:
        """What comes unasked, from this gateway or the next one: then there may be other tools."""
        is_again = False
        while True:
            with suppress(*_LOST):
                await self._listen_once(is_again=is_again)
            is_again = True
            await self._clock.sleep(_AGAIN_S)

    async def _listen_once(self, *, is_again: bool) -> None:
        headers = {"accept": _EVENTS, **self._headers({})}
        async with self._http.get(f"{self._url}{_PATH}", headers=headers) as response:
            if is_again and response.ok:
                _say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            async for told in _events(response):
                _say(told)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """The messages of a stream. Each of ours is on one line."""
    async for line in response.content:
        if line.startswith(b"data:") and (data := line[5:].strip()):
            yield json.loads(data)


def _safe(value: str) -> str:
    """As the protocol writes what a header cannot hold."""
    is_plain = value.isascii() and value.isprintable() and value == value.strip()
    if is_plain and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _object(value: object) -> Mapping[str, Any]:
    """What is none is the gateway's to refuse."""
    return value if isinstance(value, dict) else {}


def _why(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nobody listens there" if error.errno == ECONNREFUSED else f"{error.strerror}"
    if isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        return "the connection broke"
    return str(error) or type(error).__name__


def _failure(identity: Any, message: str, code: int = _INTERNAL_ERROR) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def _say(message: object) -> None:
    """A line on stdout, which has nothing else."""
    sys.stdout.write(f"{json.dumps(message, separators=(',', ':'))}\n")
    sys.stdout.flush()
