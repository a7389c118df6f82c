"""Bodies of requests: read whole, within a size and a time."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp import hdrs, web

from services.gateway.http.denied import Denied, denied
from tandem.gateway.v1 import errors_pb2 as errors

WITHIN_S: Final = 30.0


async def read(request: web.Request, bytes_max: int) -> bytes:
    """Raises Denied for one that is too large, also before any of it is read, or that does not
    come.
    """
    length = request.content_length
    if length is not None and length > bytes_max:
        raise too_large(bytes_max)
    if not request.body_exists:
        return b""
    content = request.content
    try:
        if content.is_eof() and content.total_bytes <= bytes_max:
            # It came with the head, as most do.
            return content.read_nowait()
        await invite(request)
        async with asyncio.timeout(WITHIN_S):
            return await _whole(content, bytes_max)
    except TimeoutError as error:
        reason, message = errors.ERROR_REASON_BODY_LATE, "the body of the request does not come"
        raise denied(reason, message, within_s=f"{WITHIN_S:g}") from error
    except web.RequestPayloadError as error:
        raise broken() from error


async def _whole(content: aiohttp.StreamReader, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > bytes_max:
            raise too_large(bytes_max)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def broken() -> Denied:
    """Of one whose chunks or whose compression are none."""
    reason = errors.ERROR_REASON_HTTP_INVALID
    return denied(reason, "the body of the request is not encoded as its head says")


async def invite(request: web.Request) -> None:
    """Tells a caller to send its body that waits for a word (`Expect: 100-continue`)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def too_large(bytes_max: int) -> Denied:
    """Of a body, or of a line of one."""
    message = "the body of the request is larger than the gateway reads"
    return denied(errors.ERROR_REASON_BODY_TOO_LARGE, message, bytes_max=bytes_max)
