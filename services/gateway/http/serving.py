"""The HTTP server: its connections, and what bounds them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from services.gateway.http.face import Face
from services.gateway.http.guard import Guard, Handler

_GRACE_S: Final = 5.0
_IDLE_S: Final = 75.0


@asynccontextmanager
async def serving(
    held: socket.socket,
    faces: Sequence[Face],
    guard: Guard,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Answers inside of the block."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await guard.pass_on(request, handler)

    application = web.Application(middlewares=[guarded])
    for face in faces:
        application.add_routes(face.routes)
    runner = web.AppRunner(
        application,
        handle_signals=False,
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=_IDLE_S,
        shutdown_timeout=_GRACE_S,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, held, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()
