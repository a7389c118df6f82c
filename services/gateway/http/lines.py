"""Streams of requests: a body with one JSON object a line, read as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from google.protobuf.message import Message

from services.gateway.http import messages
from services.gateway.http.body import broken, invite, too_large
from services.gateway.http.denied import denied
from tandem.gateway.v1 import errors_pb2 as errors

MEDIA_TYPES: Final = ("application/x-ndjson", "application/jsonl", messages.JSON)
# Who says nothing for that long has gone.
SILENCE_S: Final = 300.0


async def requests(
    request: web.Request, kind: type[Message], bytes_max: int
) -> AsyncIterator[Message]:
    """`bytes_max` is for each line. Raises Denied."""
    async for line in _lines(request, bytes_max):
        if line.strip():
            yield messages.message_of(kind, line)


async def _lines(request: web.Request, bytes_max: int) -> AsyncIterator[bytes]:
    rest = b""
    await invite(request)
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                part = await request.content.readany()
        except TimeoutError as error:
            reason, message = errors.ERROR_REASON_BODY_LATE, "the next line does not come"
            raise denied(reason, message, within_s=f"{SILENCE_S:g}") from error
        except web.RequestPayloadError as error:
            raise broken() from error
        if not part:
            yield rest
            return
        *whole, rest = (rest + part).split(b"\n") if b"\n" in part else (rest + part,)
        for line in whole:
            yield line
        if len(rest) > bytes_max:
            raise too_large(bytes_max)
