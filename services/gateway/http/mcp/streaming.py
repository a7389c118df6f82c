"""Server-sent events of a feed."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.gateway.http.mcp.feed import Feed

EVENTS: Final = "text/event-stream"
# A connection on which nothing happens is cut by what lies between.
ALIVE_S: Final = 15.0
_HEADERS: Final = {
    "Content-Type": EVENTS,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


async def streamed(
    request: web.Request, feed: Feed, number: int = 0, *, resumable: bool = False
) -> web.StreamResponse:
    """Sends what comes behind the first `number` messages, until the feed ends. With `resumable`
    each event says where the client was, the first one before anything is there.
    """
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if resumable:
        await response.write(f"id: {feed.name}.{number}\ndata:\n\n".encode())
    while not (feed.has_ended and number >= len(feed.lines)):
        if not await feed.grown(number, ALIVE_S):
            await response.write(b":\n\n")
        for line in feed.lines[number:]:
            number += 1
            identity = f"id: {feed.name}.{number}\n" if resumable else ""
            await response.write(f"event: message\n{identity}data: {line}\n\n".encode())
    await response.write_eof()
    return response
