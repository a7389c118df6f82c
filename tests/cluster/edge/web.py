"""gRPC-Web as a browser's library speaks it: one POST, and frames in the answer's body."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import aiohttp

_TYPE = "application/grpc-web+proto"
_LENGTH_BYTES, _TRAILERS = 4, 0x80


@dataclass(frozen=True, slots=True)
class Frame:
    """A message, or with `last` the trailers as lines."""

    content: bytes
    last: bool

    @property
    def trailers(self) -> dict[str, str]:
        lines = self.content.decode().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def frames(
    session: aiohttp.ClientSession,
    url: str,
    message: bytes,
    trust: ssl.SSLContext | None = None,
) -> AsyncGenerator[Frame, None]:
    """What the answer to one request consists of, each frame as it comes."""
    body = b"\0" + len(message).to_bytes(_LENGTH_BYTES, "big") + message
    asked = {"content-type": _TYPE, "x-grpc-web": "1"}
    async with session.post(
        url, data=body, headers=asked, raise_for_status=True, ssl=trust or True
    ) as told:
        assert told.headers["content-type"] == _TYPE
        while not told.content.at_eof():
            head = await told.content.readexactly(1 + _LENGTH_BYTES)
            content = await told.content.readexactly(int.from_bytes(head[1:], "big"))
            yield Frame(content, bool(head[0] & _TRAILERS))


async def whole(
    session: aiohttp.ClientSession, url: str, message: bytes, **more: Any
) -> list[Frame]:
    return [frame async for frame in frames(session, url, message, **more)]
