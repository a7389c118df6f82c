"""Requests to a server that has models. They change nothing there, so each may be made again."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from tandemkit.core.clock import Clock
from tandemkit.core.redaction import redacted
from tandemkit.ml.servers.server import (
    Crowded,
    KeyDenied,
    NotThere,
    Passing,
    RequestRefused,
    Server,
)
from tandemkit.reach.failure import Refused, Unreachable

_ATTEMPTS_MAX = 3
_PAUSE_S = 0.2
# Of a page that is no answer of such a server.
_SAID_CHARS_MAX = 200
# Whether the connection of the task's last request had carried others.
_WAS_KEPT: ContextVar[bool] = ContextVar("was_kept", default=False)
_LINE_BYTES_MAX = 4 * 1024 * 1024
# Of an answer as a whole, of which the largest are vectors; and of a refusal.
ANSWER_BYTES_MAX, _REFUSAL_BYTES_MAX = 32 * 1024 * 1024, 64 * 1024
# Whoever is asked to wait for longer than a day is asked for a day.
_WAIT_S_MAX = 86_400.0
_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_OF_THE_REQUEST = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class Http:
    """The one connection pool to a server, from `connected`. All methods raise Passing, KeyDenied,
    NotThere, RequestRefused, Refused; none of them shows the key.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: Server,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._session, self._server, self._clock, self._draw = session, server, clock, draw

    async def ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """The answer, after as many attempts as help within the server's time. Raises Unreachable
        where none did.
        """
        limit = asyncio.timeout(self._server.within_s)
        try:
            async with limit:
                return await self._asked(method, path, body)
        except TimeoutError as error:
            raise Unreachable(
                "the server gives no answer in time",
                address=self._server.base_url,
                within_s=self._server.within_s,
            ) from error

    async def once(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """The answer of one attempt."""
        async with self._answer(method, path, body) as response:
            content = await _read(response, ANSWER_BYTES_MAX)
            if len(content) > ANSWER_BYTES_MAX:
                message = "the server's answer is longer than we read"
                raise Refused(message, address=self._server.base_url, bytes_max=ANSWER_BYTES_MAX)
            return _parsed(content, self._server.base_url)

    async def lines(self, method: str, path: str, body: object) -> AsyncGenerator[bytes, None]:
        """The lines of an answer as they come, without their ends, of one attempt. Who stops before
        the last closes the connection: the server need not go on.
        """
        async with aclosing(self.batches(method, path, body)) as batches:
            async for lines in batches:
                for line in lines:
                    yield line

    async def batches(
        self, method: str, path: str, body: object
    ) -> AsyncGenerator[list[bytes], None]:
        """The same lines, those together that came together."""
        async with self._answer(method, path, body) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
                if len(rest) > _LINE_BYTES_MAX:
                    raise Refused("the server's answer has no lines", address=self._server.base_url)
                if lines:
                    yield lines
            if rest:
                yield [rest]

    async def _asked(self, method: str, path: str, body: object) -> Mapping[str, Any]:
        attempt = 1
        while True:
            try:
                return await self.once(method, path, body)
            except Passing as error:
                if attempt == _ATTEMPTS_MAX:
                    raise Unreachable(error.message, **error.metadata, attempts=attempt) from error
                usual_s = _PAUSE_S * 2.0**attempt * (0.5 + self._draw() / 2)
                pause_s = usual_s if error.retry_after_s is None else error.retry_after_s
                if self._server.within_s is not None and pause_s >= self._server.within_s:
                    raise Unreachable(error.message, **error.metadata, attempts=attempt) from error
            await self._clock.sleep(pause_s)
            attempt += 1

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One that is no refusal."""
        headers = {"Authorization": f"Bearer {self._server.key()}"} if self._server.key else {}
        address = self._server.base_url
        try:
            async with await self._sent(method, address + path, body, headers) as response:
                if response.status != HTTPStatus.OK:
                    content = await _read(response, _REFUSAL_BYTES_MAX)
                    raise _refusal(response, content, address)
                yield response
        except aiohttp.ClientSSLError as error:
            raise Refused("no trust between us and the server", address=address) from error
        except aiohttp.ServerTimeoutError as error:
            raise Passing("the server is silent for too long", address=address) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Passing("the server gives no answer", address=address) from error

    async def _sent(
        self, method: str, url: str, body: object, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        send = functools.partial(
            self._session.request, method, url, json=body, headers=headers, allow_redirects=False
        )
        try:
            return await send()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # One that was kept may have been closed there just now, as servers do with those that
            # are old: that says nothing of how the server is.
            if not _WAS_KEPT.get():
                raise
            return await send()


class _Connector(aiohttp.TCPConnector):
    """Notes which connections it had before. aiohttp's tracing tells as well, for a fifth of what a
    request costs.
    """

    def __init__(self) -> None:
        # Whoever asks says how often at a time.
        super().__init__(limit=0)
        self._known = weakref.WeakSet[Any]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> Connection:
        _WAS_KEPT.set(False)
        found = await super().connect(req, traces, timeout)
        _WAS_KEPT.set(found.protocol in self._known)
        self._known.add(found.protocol)
        return found


@asynccontextmanager
async def connected(server: Server, clock: Clock) -> AsyncIterator[Http]:
    """Opens no connection before the first request."""
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=server.connect_s, sock_read=server.silence_s
    )
    async with aiohttp.ClientSession(connector=_Connector(), timeout=timeout) as session:
        yield Http(session, server, clock)


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """All of it, or so much that it is seen to be more."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            break
    return b"".join(parts)


def _parsed(content: bytes, address: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("what answers is no server of models", address=address)
    return found


def _refusal(response: aiohttp.ClientResponse, content: bytes, address: str) -> Exception:
    status, retry_after = response.status, response.headers.get("Retry-After", "")
    metadata = {"address": address, "status": status, "said": said(content)}
    if status in _MAY_PASS:
        wait_s = min(float(retry_after), _WAIT_S_MAX) if retry_after.isdecimal() else None
        kind = Crowded if status == HTTPStatus.TOO_MANY_REQUESTS else Passing
        return kind("the server cannot answer now", wait_s, **metadata)
    if status in _DENIED:
        return KeyDenied("the server denies the key", **metadata)
    if status == HTTPStatus.NOT_FOUND:
        return NotThere("the server has no such model, or is none of this kind", **metadata)
    if status in _OF_THE_REQUEST:
        return RequestRefused("the server refuses what it is asked", **metadata)
    return Refused("the server refuses the request", **metadata)


def said(content: bytes) -> str:
    """OpenAI's `{"error": {"message": ...}}`, Ollama's `{"error": ...}`, or the page itself."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = message if isinstance(message, str) else content.decode(errors="replace")
    # JSON can say half a character, which no message can hold.
    return redacted(text)[:_SAID_CHARS_MAX].encode(errors="replace").decode()
