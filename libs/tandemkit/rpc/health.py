"""grpc.health.v1 per service. Ours, because the asyncio servicer in grpcio-health-checking drops a
service's other watchers when one of them leaves, and holds a draining server up until its grace is
over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import grpc
from grpc_health.v1 import health_pb2

from tandemkit.rpc.context import Context
from tandemkit.rpc.elsewhere import Elsewhere

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
# The name under which a caller asks for the whole server.
WHOLE = ""


class Health:
    """Statuses that are set from inside and watched from outside. The whole serves when every
    service does. Of a service that was never put, `elsewhere` may know.
    """

    def __init__(self) -> None:
        self.elsewhere: Elsewhere | None = None
        # A server without an agent is well: it waits for what is added.
        self._statuses: dict[str, int] = {WHOLE: SERVING}
        # Which of them the whole does not depend on.
        self._apart = {WHOLE}
        self._changed = asyncio.Event()
        self._draining = False

    def put(self, service: str, *, serving: bool, apart: bool = False) -> None:
        """Changes one service's status; a draining server's statuses stay NOT_SERVING. The whole
        does not depend on one that is `apart`.
        """
        if apart:
            self._apart.add(service)
        self._statuses[service] = SERVING if serving and not self._draining else NOT_SERVING
        counted = self._statuses.items()
        whole = all(status == SERVING for name, status in counted if name not in self._apart)
        self._statuses[WHOLE] = SERVING if whole else NOT_SERVING
        self.wake()

    def forget(self, service: str) -> None:
        """There is none of that name any more."""
        self._apart.discard(service)
        if self._statuses.pop(service, None) is not None:
            self.wake()

    def serving(self, service: str) -> bool:
        """Whether `service` serves as far as the outside has been told."""
        return bool(self._statuses.get(service) == SERVING)

    @property
    def draining(self) -> bool:
        """Whether it is NOT_SERVING for good."""
        return self._draining

    def drain(self) -> None:
        """Turns everything of this server NOT_SERVING for good and ends every watch after it has
        said so.
        """
        self._draining = True
        self._statuses = dict.fromkeys(self._statuses, NOT_SERVING)
        self.wake()

    def wake(self) -> None:
        """Has every watch look again. Each change has an event of its own, so that no watcher can
        miss one while it sends another.
        """
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        """What answers for it on the wire."""
        serves = (
            ("Check", grpc.unary_unary_rpc_method_handler, self.Check),
            ("Watch", grpc.unary_stream_rpc_method_handler, self.Watch),
        )
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: make(
                    serve,
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
                )
                for name, make, serve in serves
            },
        )

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        status = self._status(request.service)
        if status is None:
            await self._refuse(request.service, context)
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, _context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        last: int | None = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            status = _UNKNOWN if status is None else status
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
                last = status
            elif self._draining:
                return
            else:
                await changed.wait()

    def _status(self, service: str) -> int | None:
        status = self._statuses.get(service)
        if status is None and self.elsewhere is not None:
            serves = self.elsewhere.serving(service)
            status = None if serves is None else SERVING if serves else NOT_SERVING
        return status

    async def _refuse(self, service: str, context: Context) -> None:
        if self.elsewhere is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        else:
            refusal = self.elsewhere.refusal(service)
            await context.abort(refusal.code, refusal.message, refusal.trailers())
