"""A client of the small HTTP port that sends exactly what a test says."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


async def told(held: socket.socket, request: str) -> Told:
    """What comes back until the port hangs up; ConnectionError where nothing does."""
    return await told_at(held.getsockname()[:2], request)


async def told_at(address: tuple[str, int], request: str) -> Told:
    """The same, of a port of another process."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request.encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if not head:
        raise ConnectionError("no answer")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Told(int(first.split()[1]), headers, body)


async def get(held: socket.socket, path: str, accept: str = "*/*") -> Told:
    """As a well-behaved client asks."""
    port = held.getsockname()[1]
    return await told(
        held, f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: {accept}\r\n\r\n"
    )
