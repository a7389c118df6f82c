"""Those who mean a gateway ill: each does what it can, as often as it can, until it is told to
stop.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tandemkit.core.clock import SystemClock

GIGABYTE: Final = 1_000_000_000
_MEASURE: Final = "/api/utility-toolbox/MeasureText"
_CHUNK: Final = b"10000\r\n" + bytes(0x10000) + b"\r\n"
_SLOW_S, _AGAIN_S, _PATIENCE_S = 1.0, 0.5, 5.0
_PAGES: Final = b"GET /docs/page.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100
_CLOCK: Final = SystemClock()
Attack = Callable[[], Awaitable[str]]


@dataclass
class Abuse:
    """`told` counts what became of each attempt, by attack; `sent_bytes_max` is how much of a
    gigabyte was taken at most.
    """

    url: str
    token: str
    told: dict[str, Counter[str]] = field(default_factory=dict)
    sent_bytes_max: int = 0

    async def over_and_over(self, name: str, attack: Attack, after_s: float = 0.0) -> None:
        """Until it is cancelled."""
        told = self.told.setdefault(name, Counter())
        await _CLOCK.sleep(after_s)
        while True:
            try:
                found = await attack()
            except (OSError, asyncio.IncompleteReadError):
                found = "hung up"
            told[found] += 1
            await _CLOCK.sleep(_AGAIN_S)

    async def gigabyte(self) -> str:
        """Of a length that is said."""
        return await self._poured(f"content-length: {GIGABYTE}", bytes(0x10000))

    async def endless(self) -> str:
        """In chunks, as many as are taken."""
        return await self._poured("transfer-encoding: chunked", _CHUNK)

    async def headers(self) -> str:
        """Ten thousand of them."""
        return await self._asked(*(f"x-{number}: a" for number in range(10_000)))

    async def stranger(self) -> str:
        """Without the token."""
        return await self._asked(bearer="")

    async def page(self) -> str:
        """Of another origin, with the token."""
        return await self._asked("origin: https://evil.example")

    async def bent(self) -> str:
        """A page whose name leads here."""
        return await self._asked(host="evil.example")

    async def preflight(self) -> str:
        """What a browser asks for such a page."""
        asks = ("origin: https://evil.example", "access-control-request-method: POST")
        return await self._asked(*asks, verb="OPTIONS", bearer="")

    async def loris(self) -> str:
        """A line of a head now and then."""
        reader, writer = await self._connected()
        try:
            writer.write(b"GET /health HTTP/1.1\r\n")
            while not reader.at_eof():
                await _CLOCK.sleep(_SLOW_S)
                writer.write(b"x-a: b\r\n")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await reader.read(1)
            return "hung up"
        finally:
            writer.transport.abort()

    async def reads_nothing(self) -> str:
        """Asks for more than fits between the two, and takes none of it."""
        _reader, writer = await self._connected(reads_bytes=4096)
        try:
            while True:
                writer.write(_PAGES)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def _asked(
        self, *more: str, verb: str = "POST", host: str = "localhost", bearer: str | None = None
    ) -> str:
        reader, writer = await self._connected()
        try:
            writer.write(self._head(verb, host, bearer, (*more, "content-length: 2")) + b"{}")
            return await _status(reader)
        finally:
            writer.transport.abort()

    async def _poured(self, length: str, part: bytes) -> str:
        reader, writer = await self._connected()
        sent = 0
        try:
            writer.write(self._head("POST", "localhost", None, (length,)))
            with suppress(OSError):
                while sent < GIGABYTE:
                    writer.write(part)
                    await writer.drain()
                    sent += len(part)
            self.sent_bytes_max = max(self.sent_bytes_max, sent)
            return await _status(reader)
        finally:
            writer.transport.abort()

    def _head(self, verb: str, host: str, bearer: str | None, more: tuple[str, ...]) -> bytes:
        shown = f"Bearer {self.token}" if bearer is None else bearer
        named = (f"host: {host}", *((f"authorization: {shown}",) if shown else ()))
        lines = (f"{verb} {_MEASURE} HTTP/1.1", *named, "content-type: application/json", *more)
        return "\r\n".join((*lines, "", "")).encode()

    async def _connected(
        self, reads_bytes: int = 0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        held = socket.socket()
        held.setblocking(False)
        if reads_bytes:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, reads_bytes)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(held, (parts.hostname, parts.port))
        return await asyncio.open_connection(sock=held, limit=reads_bytes or 1 << 16)


async def _status(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(_PATIENCE_S):
        return (await reader.readuntil(b"\r\n")).split()[1].decode()
