"""Requests to a server that embeds: as often as helps, within their time. They change nothing
there, so each may be made again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp

from tandemkit.core.clock import Clock
from tandemkit.core.redaction import redacted
from tandemkit.ml.embedding.protocol import TextRefused
from tandemkit.ml.embedding.remote import Server
from tandemkit.reach.failure import Refused, Unreachable

_ATTEMPTS_MAX = 3
_PAUSE_S = 0.2
# Of a page that is no answer of such a server.
_SAID_CHARS_MAX = 200
_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_OF_THE_TEXT = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class _MayPass(Unreachable):
    """Worth another attempt, after what the server said or a moment."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, **metadata: object
    ) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class Http:
    """The one connection pool to a server, from `connected`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: Server,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._session, self._server, self._clock, self._draw = session, server, clock, draw

    async def ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """Raises Unreachable, TextRefused, Refused; none of them shows the key."""
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

    async def _asked(self, method: str, path: str, body: object) -> Mapping[str, Any]:
        attempt = 1
        while True:
            try:
                return await self._once(method, path, body)
            except _MayPass as error:
                if attempt == _ATTEMPTS_MAX:
                    raise Unreachable(error.message, **error.metadata, attempts=attempt) from error
                usual_s = _PAUSE_S * 2.0**attempt * (0.5 + self._draw() / 2)
                pause_s = usual_s if error.retry_after_s is None else error.retry_after_s
                if pause_s >= self._server.within_s:
                    raise Unreachable(error.message, **error.metadata, attempts=attempt) from error
            await self._clock.sleep(pause_s)
            attempt += 1

    async def _once(self, method: str, path: str, body: object) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._server.key()}"} if self._server.key else {}
        address = self._server.base_url
        try:
            async with self._session.request(
                method, address + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                status, content = response.status, await response.read()
                retry_after = response.headers.get("Retry-After", "")
        except aiohttp.ClientSSLError as error:
            raise Refused("no trust between us and the server", address=address) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _MayPass("the server gives no answer", address=address) from error
        if status == HTTPStatus.OK:
            return _parsed(content, address)
        raise _refusal(status, content, retry_after, address)


@asynccontextmanager
async def connected(server: Server, clock: Clock) -> AsyncIterator[Http]:
    """Opens no connection before the first request."""
    async with aiohttp.ClientSession() as session:
        yield Http(session, server, clock)


def _parsed(content: bytes, address: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("what answers is no server that embeds", address=address)
    return found


def _refusal(status: int, content: bytes, retry_after: str, address: str) -> Exception:
    metadata = {"address": address, "status": status, "said": _said(content)}
    if status in _MAY_PASS:
        wait_s = float(retry_after) if retry_after.isdecimal() else None
        return _MayPass("the server cannot embed now", wait_s, **metadata)
    if status in _DENIED:
        return Refused("the server denies the key", **metadata)
    if status == HTTPStatus.NOT_FOUND:
        return Refused("the server has no such model, or is none that embeds", **metadata)
    if status in _OF_THE_TEXT:
        return TextRefused("the server refuses a text", **metadata)
    return Refused("the server refuses the request", **metadata)


def _said(content: bytes) -> str:
    """OpenAI's `{"error": {"message": ...}}`, Ollama's `{"error": ...}`, or the page itself."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = message if isinstance(message, str) else content.decode(errors="replace")
    return redacted(text)[:_SAID_CHARS_MAX]
