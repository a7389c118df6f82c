"""Streams of responses: server-sent events, or one JSON object a line for who asks for those."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

from aiohttp import hdrs, web
from google.protobuf.message import Message

from services.gateway.http import messages
from services.gateway.http.denied import Denied
from services.gateway.http.face import problem_value
from tandemkit.core.clock import Clock
from tandemkit.supervise.errands import Errands

EVENTS: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
# The head goes out then even if no message has come, and a sign of life as often as the second.
_HEAD_S, _SIGN_S = 0.5, 15.0
Form = Callable[[Message], bytes]


async def answer(
    request: web.Request,
    responses: AsyncGenerator[Any, None],
    token: Callable[[Any], str] | None,
    clock: Clock,
) -> web.StreamResponse:
    """Each response as it comes. `token` says of each how to go on behind it. Raises Denied where
    nothing was sent yet; what fails later is said in the stream, and so is its good end.
    """
    form = _Lines() if LINES in request.headers.get(hdrs.ACCEPT, "") else _Events(token)
    if request.method == hdrs.METH_HEAD:
        # Nobody reads what would come, which may have no end.
        await responses.aclose()
        return web.Response(content_type=form.media_type)
    stream = _Stream(request, form, clock)
    signs = Errands()
    signs.start(stream.signs())
    try:
        async with aclosing(responses):
            async for response in responses:
                await stream.send(form.message(response))
            await stream.send(form.end)
    except Denied as error:
        if not stream.begun:
            raise
        await stream.send(form.failure(error))
    finally:
        await signs.end(0)
    return stream.response


class _Events:
    media_type = EVENTS
    end = b"event: end\ndata: {}\n\n"
    sign = b":\n\n"

    def __init__(self, token: Callable[[Any], str] | None) -> None:
        self._token = token

    def message(self, response: Message) -> bytes:
        text = f"data: {messages.text_of(response)}\n\n"
        if self._token is not None and (token := self._token(response)):
            text = f"id: {token}\n{text}"
        return text.encode()

    def failure(self, said: Denied) -> bytes:
        return f"event: error\ndata: {json.dumps(problem_value(said))}\n\n".encode()


class _Lines:
    media_type = LINES
    end = b""
    sign = b"\n"

    def message(self, response: Message) -> bytes:
        return messages.bytes_of(response) + b"\n"

    def failure(self, said: Denied) -> bytes:
        return json.dumps({"error": problem_value(said)}).encode() + b"\n"


class _Stream:
    """What has been sent. One writes at a time, so that nothing stands inside of a message."""

    def __init__(self, request: web.Request, form: _Events | _Lines, clock: Clock) -> None:
        self._request, self._clock, self._sign = request, clock, form.sign
        self._turn = asyncio.Lock()
        self._sent_s = clock.monotonic_s()
        self.begun = False
        # Proxies that gather what they pass on would make one answer of it.
        headers = {hdrs.CONTENT_TYPE: form.media_type, "X-Accel-Buffering": "no"}
        self.response = web.StreamResponse(headers=headers)

    async def send(self, content: bytes) -> None:
        async with self._turn:
            if not self.begun:
                self.begun = True
                await self.response.prepare(self._request)
            if content:
                await self.response.write(content)
            self._sent_s = self._clock.monotonic_s()

    async def signs(self) -> None:
        """Shows that the stream lives while it has nothing to say."""
        await self._clock.sleep(_HEAD_S)
        # Whoever has gone ends the stream too.
        with contextlib.suppress(ConnectionError):
            if not self.begun:
                await self.send(b"")
            while True:
                due_s = self._sent_s + _SIGN_S - self._clock.monotonic_s()
                if due_s <= 0:
                    await self.send(self._sign)
                else:
                    await self._clock.sleep(due_s)
