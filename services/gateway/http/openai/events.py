"""Server-sent events as OpenAI's clients read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from services.gateway.http.denied import Denied
from services.gateway.http.openai import errors
from tandemkit.supervise.errands import Errands

DONE: Final = "data: [DONE]\n\n"
# Both official clients pass over comments; what stands between them and us cuts what is silent.
COMMENT: Final = ": it goes on\n\n"
QUIET_S: Final = 15.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # Proxies of the nginx kind then hand on each event as it comes.
    "X-Accel-Buffering": "no",
}


class _Response(web.StreamResponse):
    """Whose head leaves with the first event, in one packet: the client wakes once."""

    _send_headers_immediately = False


class Events:
    """One answer that was begun. After `quiet_s` without an event it says that it goes on."""

    def __init__(self, response: web.StreamResponse, quiet_s: float) -> None:
        self.response = response
        self._quiet_s = quiet_s
        self._held = ""
        self._errands = Errands()
        self._loop = asyncio.get_running_loop()
        self._said_s = self._loop.time()
        self._timer = self._loop.call_later(quiet_s, self._look)

    async def say(self, events: str) -> None:
        """No event, one, or several."""
        if events:
            self._said_s = self._loop.time()
            events, self._held = f"{self._held}{events}", ""
            await self.response.write(events.encode())

    def hold(self, events: str) -> None:
        """Said with whatever comes next, which is at hand: one packet less for each stream."""
        self._held += events

    async def end(self, events: str) -> None:
        """The last of them."""
        await self.response.write_eof(f"{self._held}{events}".encode())

    async def rest(self) -> None:
        """Nothing comes by itself any more."""
        self._timer.cancel()
        await self._errands.end(0)

    async def _sign(self) -> None:
        # Whoever has gone ends the stream too.
        with suppress(ConnectionError):
            await self.say(COMMENT)

    def _look(self) -> None:
        """Whether it was silent for too long."""
        next_s = self._said_s + self._quiet_s
        if next_s <= self._loop.time():
            self._errands.start(self._sign())
            next_s = self._loop.time() + self._quiet_s
        self._timer = self._loop.call_at(next_s, self._look)


@asynccontextmanager
async def events(
    request: web.Request, headers: Mapping[str, str], quiet_s: float = QUIET_S
) -> AsyncIterator[Events]:
    """Ends with `[DONE]`; what is denied meanwhile is the last event instead, of which clients make
    an exception.
    """
    response = _Response(headers={**_HEADERS, **headers})
    await response.prepare(request)
    told = Events(response, quiet_s)
    try:
        try:
            yield told
        except Denied as denied:
            last = f"data: {errors.of(denied).body}\n\n"
        else:
            last = DONE
    finally:
        await told.rest()
    await told.end(last)
