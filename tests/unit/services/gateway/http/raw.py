"""HTTP as nobody's client would send it: bytes, at the pace of a test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_PATIENCE_S = 20.0


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def status(self) -> int:
        """Of the next answer, whose body is read too."""
        async with asyncio.timeout(_PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1])

    async def closed(self) -> bool:
        """Whether the other side hangs up, whatever it still says."""
        async with asyncio.timeout(_PATIENCE_S):
            try:
                while await self._reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True


@asynccontextmanager
async def wire(url: str, reads_bytes: int = 0) -> AsyncIterator[Wire]:
    """A connection to the gateway at `url`, which takes in no more than `reads_bytes` by itself if
    that is said.
    """
    parts = urlsplit(url)
    held = socket.socket()
    held.setblocking(False)
    if reads_bytes:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, reads_bytes)
    await asyncio.get_running_loop().sock_connect(held, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=held, limit=reads_bytes or 1 << 16)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
