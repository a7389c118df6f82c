"""A network that can be cut: a relay between clients and a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_CHUNK_BYTES = 64 * 1024


class Relay:
    """Passes bytes on, or swallows them: a cut link looks alive to both ends and carries nothing.

    What was sent during a cut never arrives, and links of that time end when it heals.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._is_cut = False
        self._links: set[_Link] = set()

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._is_cut = True
        for link in self._links:
            link.is_lost = True

    def heal(self) -> None:
        """What is sent from now on passes, over new connections."""
        self._is_cut = False
        for link in self._links:
            if link.is_lost:
                link.abort()

    def abort(self) -> None:
        """Ends every link at once, as a reset would."""
        for link in self._links:
            link.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, for asyncio.start_server."""
        link = _Link(writer, is_lost=self._is_cut)
        self._links.add(link)
        try:
            with suppress(OSError):
                there_reader, there_writer = await self._connect()
                link.writers.append(there_writer)
                await asyncio.gather(
                    link.pass_on(reader, there_writer), link.pass_on(there_reader, writer)
                )
        finally:
            self._links.discard(link)
            link.abort()


class _Link:
    def __init__(self, writer: asyncio.StreamWriter, *, is_lost: bool) -> None:
        self.writers = [writer]
        self.is_lost = is_lost

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if not self.is_lost:
                writer.write(chunk)
                await writer.drain()
        if not self.is_lost:
            # One end has closed; the other is told, and with it the other direction ends.
            self.abort()

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def relay_to(
    connect: Connect, tls: SSLContext | None = None
) -> AsyncIterator[tuple[Relay, int]]:
    """A relay with its port of 127.0.0.1, before whatever `connect` reaches. With `tls` clients
    have to speak it.
    """
    relay = Relay(connect)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        try:
            yield relay, server.sockets[0].getsockname()[1]
        finally:
            relay.abort()
