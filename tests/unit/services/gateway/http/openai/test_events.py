"""Streams of events that are silent for a while."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
from aiohttp import web

from services.gateway.http.openai.events import Events, events
from tandemkit.core.clock import SystemClock

_WITHIN_S = 5.0
_COMMENT = b": it goes on\n\n"


async def test_a_silent_stream_says_now_and_then_that_it_goes_on() -> None:
    """By comments, which clients pass over; what is said comes between them whole."""
    goes_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        async with events(request, {}, quiet_s=0.01) as told:
            await goes_on.wait()
            await told.say("data: {}\n\n")
        return told.response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with (
            asyncio.timeout(_WITHIN_S),
            aiohttp.ClientSession() as client,
            client.get(f"http://{host}:{port}/") as told,
        ):
            assert await told.content.readexactly(2 * len(_COMMENT)) == 2 * _COMMENT
            goes_on.set()
            rest = await told.content.read()
    finally:
        await runner.cleanup()
    assert rest.replace(_COMMENT, b"") == b"data: {}\n\ndata: [DONE]\n\n"


class Gone(web.StreamResponse):
    """To a client whose connection is closing."""

    tried = 0

    async def write(self, data: object) -> None:
        self.tried += 1
        raise ConnectionResetError("Cannot write to closing transport")


async def test_a_sign_of_life_for_who_has_gone_is_nobodys_failure() -> None:
    """Whoever reads the stream ends it; the log has nothing of the sign."""
    response, failures = Gone(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, said: failures.append(said))
    told = Events(response, quiet_s=0.001)
    async with asyncio.timeout(_WITHIN_S):
        while response.tried < 2:
            await SystemClock().sleep(0)
    await told.rest()
    gc.collect()
    assert not failures
