"""Messages to requests, and what is said to them to messages. Contract:
tandem.language.v1.RequestCoordinatorService.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from services.language.request_coordinator.asked import Asked
from services.language.request_coordinator.coordinator import Coordinator
from services.language.request_coordinator.routing import routed, scored
from services.language.request_coordinator.telling import Telling
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.language.v1 import request_coordinator_service_pb2_grpc as rpc
from tandemkit.core.errors import Bug, CallerError
from tandemkit.core.ids import span_id
from tandemkit.hosting import access
from tandemkit.rpc.context import Context
from tandemkit.rpc.trace import CORRELATION_HEADER

# As the contract has it for the field.
_CORRELATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class RequestCoordinator(rpc.RequestCoordinatorServiceServicer):
    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def Ask(self, request: pb.AskRequest, context: Context) -> pb.AskResponse:
        async for event in self._coordinator.course(_asked(request, context)):
            if isinstance(event, pb.AskResponse):
                return event
        raise Bug("a request ended without an answer")

    async def StreamAsk(
        self, request: pb.StreamAskRequest, context: Context
    ) -> AsyncIterator[pb.StreamAskResponse]:
        telling = Telling(request)
        asked = _asked(request, context, telling.correlation_id)
        if telling.is_over:
            return
        async for event in self._coordinator.course(asked):
            message = telling.told(event, asked.correlation_id)
            if message is not None:
                yield message

    async def Classify(self, request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        return pb.ClassifyResponse(
            routing=routed(request.text, nouns.ROUTE_UNSPECIFIED),
            scores=[
                pb.RouteScore(route=route, probability=one) for route, one in scored(request.text)
            ],
        )


def _asked(
    request: pb.AskRequest | pb.StreamAskRequest, context: Context, correlation_id: str = ""
) -> Asked:
    """Raises CallerError where the caller may not read what is to answer."""
    namespace = access.check(request.namespace, access.Right.READ)
    if request.session:
        access.check_named(request.session, access.Right.WRITE)
        if not request.session.startswith(f"namespaces/{namespace}/"):
            raise CallerError(
                errors.ERROR_REASON_SESSION_ELSEWHERE,
                "the session belongs to another namespace than the request; name that namespace",
                field="session",
                namespace=namespace,
            )
    return Asked(
        text=request.text,
        routing=routed(request.text, request.route),
        namespace=request.namespace,
        correlation_id=correlation_id or request.correlation_id or _shown(context) or span_id(),
        history=request.history,
        session=request.session,
        model=request.model,
    )


def _shown(context: Context) -> str:
    """The correlation id in the call's metadata, if it is one."""
    for key, value in context.invocation_metadata() or ():
        if key == CORRELATION_HEADER and _CORRELATION.fullmatch(str(value)):
            return str(value)
    return ""
