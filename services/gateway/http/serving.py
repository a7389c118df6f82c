"""The HTTP server: its connections, and what bounds them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from services.gateway.http.denied import Denied, denied
from services.gateway.http.door import Bounds, Door
from services.gateway.http.face import Face
from services.gateway.http.guard import Guard, Handler
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import ids
from tandemkit.rpc import failure
from tandemkit.rpc.remote import RemoteFailure

_LOGGER = logging.getLogger("services.gateway")
# A head comes within this, also on a connection that had requests before.
HEAD_S: Final = 10.0
# A connection without a request is closed then.
IDLE_S: Final = 75.0
HEADERS_MAX: Final = 100
HEADER_BYTES_MAX: Final = 8190
_GRACE_S: Final = 5.0
# What a caller sends that was refused is read and dropped for so long, that it reads the answer.
_LINGER_S, _DROP_BYTES_MAX = 1.0, 1 << 20
# Who takes nothing of its answer for so long is cut off, also while its connection closes.
TAKEN_S: Final = 30.0
# Of Linux, which watches for us.
_TAKEN_OPTION: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
_CONNECTION: Final[dict[str, Any]] = {
    "keepalive_timeout": IDLE_S,
    "max_headers": HEADERS_MAX,
    "max_field_size": HEADER_BYTES_MAX,
    "max_line_size": HEADER_BYTES_MAX,
    "lingering_time": _LINGER_S,
    # Agents log their calls themselves.
    "access_log": None,
}


class Connection(web.RequestHandler):
    """One caller's. aiohttp bounds how many headers there are and how long; this adds for how long
    they may come, and answers in our words what is no HTTP.
    """

    def __init__(self, server: web.Server, guard: Guard, place: str) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_CONNECTION)
        self._guard, self.place = guard, place
        self._head: asyncio.TimerHandle | None = None
        # How much of what was refused is still read, that its sender comes to read the answer.
        self._drop_bytes: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def is_stuck(self) -> bool:
        """Whether what was written for it waits for its reader."""
        return bool(self._paused) and self.transport is not None

    def hang_up(self) -> None:
        """At once, whatever was still to be sent."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._guard.measures.connections += 1
        self._head = self._loop.call_later(HEAD_S, self._late)

    def data_received(self, data: bytes) -> None:
        if self._drop_bytes is not None:
            self._drop_bytes -= len(data)
            if self._drop_bytes < 0:
                self.force_close()
                return
        super().data_received(data)
        if self._messages or not self.is_idle:
            if self._head is not None:
                self._head.cancel()
                self._head = None
        elif self._head is None:
            self._head = self._loop.call_later(HEAD_S, self._late)

    def refused(self, request: web.BaseRequest) -> None:
        """Whoever still sends the body of a request that was refused has little time and room."""
        if not request.content.is_eof():
            self._drop_bytes = _DROP_BYTES_MAX

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head is not None:
            self._head.cancel()
        self._guard.measures.connections -= 1
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Of what is no HTTP (400), and of a defect of a face."""
        said = _malformed(exc) if status == 400 else _defect(request, exc)
        response = self._guard.refuse(request, said)
        response.force_close()
        return response

    def _late(self) -> None:
        self._head = None
        if self.is_idle:
            self.force_close()


@asynccontextmanager
async def serving(
    held: socket.socket,
    faces: Sequence[Face],
    guard: Guard,
    bounds: Bounds,
    drain: Callable[[], None],
) -> AsyncIterator[None]:
    """Answers inside of the block. Behind it requests in progress have a few seconds more, and
    `drain` ends those that would need longer.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await guard.pass_on(request, handler)
        except Denied as said:
            connection = request.protocol
            if isinstance(connection, Connection):
                connection.refused(request)
            return guard.refuse(request, said)

    application = web.Application(middlewares=[guarded])
    for face in faces:
        application.add_routes(map(_unexpectant, face.routes))
    application.on_response_prepare.append(guard.sign)
    runner = web.AppRunner(
        application, handle_signals=False, handler_cancellation=True, shutdown_timeout=_GRACE_S
    )
    await runner.setup()
    server: Any = runner.server
    door = Door(bounds, lambda: server.connections, lambda place: Connection(server, guard, place))
    if _TAKEN_OPTION is not None:
        # The connections have it from the socket that they came by.
        held.setsockopt(socket.IPPROTO_TCP, _TAKEN_OPTION, int(TAKEN_S * 1000))
    door.open(held)
    try:
        yield
    finally:
        await door.close(held)
        drain()
        await runner.cleanup()


def _unexpectant(route: web.RouteDef) -> web.RouteDef:
    """Whoever asks before it sends its body is told to by who reads that, or is refused."""
    kwargs = {**route.kwargs, "expect_handler": _nothing}
    return web.RouteDef(route.method, route.path, route.handler, kwargs)


async def _nothing(_request: web.Request) -> None:
    return


def _malformed(error: BaseException | None) -> Denied:
    said = str(error)
    if isinstance(error, LineTooLong) or "Too many headers" in said:
        message = "the head of the request is larger than the gateway reads"
        return denied(
            errors.ERROR_REASON_HEAD_TOO_LARGE,
            message,
            headers_max=HEADERS_MAX,
            header_bytes_max=HEADER_BYTES_MAX,
        )
    return denied(errors.ERROR_REASON_HTTP_INVALID, "the request is no HTTP that we understand")


def _defect(request: web.BaseRequest, error: BaseException | None) -> Denied:
    """The caller learns an id, under which the log has the cause."""
    incident = ids.incident_id()
    fields = {"path": request.path[:200], "incident": incident}
    _LOGGER.error("http.defect", exc_info=error, extra={"tandem_fields": fields})
    refusal = failure.of_platform(
        platform.PLATFORM_ERROR_REASON_INTERNAL,
        "the gateway failed; its log has the cause under this incident",
        incident=incident,
    )
    return Denied.of(RemoteFailure.said(refusal))
