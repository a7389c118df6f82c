"""Conversations to answers. Contract: tandem.models.v1.ModelService."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from services.models.model.catalog import DEFAULT, Catalog
from services.models.model.refusal import RIGHTS, answering
from services.models.model.resume import Resumable
from services.models.model.tries import Answer, Part, Seat, Tries, answered, streamed
from tandem.models.v1 import errors_pb2 as errors
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.hosting import access
from tandemkit.ml.generation.protocol import ModelGone
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of

# Of texts that are gone on with, which nothing is quoted for.
_NO_NAMESPACE = ""
_PAGE = 100
_PAGE_MAX = 1000


class Models(rpc.ModelServiceServicer):
    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock

    async def ListModels(
        self, request: pb.ListModelsRequest, _context: Context
    ) -> pb.ListModelsResponse:
        known = await self._catalog.models()
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        try:
            page = page_of(sorted(known), scope="models", token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            raise CallerError(reason, "the page token is none", field="page_token") from error
        return pb.ListModelsResponse(
            models=[known[name] for name in page.names], next_page_token=page.next_token
        )

    async def GetModel(self, request: pb.GetModelRequest, _context: Context) -> pb.GetModelResponse:
        known = await self._catalog.models()
        with answering():
            found = known.get(request.name or DEFAULT)
            if found is None:
                raise ModelGone("there is no such model", model=request.name)
        return pb.GetModelResponse(model=found)

    async def ListBackends(
        self, _request: pb.ListBackendsRequest, _context: Context
    ) -> pb.ListBackendsResponse:
        access.check_fleet(RIGHTS)
        found = (place.look() for place in self._catalog.places.values())
        return pb.ListBackendsResponse(backends=found)

    async def Chat(self, request: pb.ChatRequest, _context: Context) -> pb.ChatResponse:
        access.check(request.namespace, access.Right.READ, RIGHTS)
        return await self._answered(
            "chat",
            request.model,
            lambda seat: seat.place.backend.chat(seat.model, request),
        )

    async def StreamChat(
        self, request: pb.StreamChatRequest, _context: Context
    ) -> AsyncIterator[pb.StreamChatResponse]:
        access.check(request.namespace, access.Right.READ, RIGHTS)
        resumable: Resumable[pb.StreamChatResponse] = Resumable(request, "chat", self._clock)
        parts = self._streamed(
            resumable,
            request.model,
            lambda seat, asked: seat.place.backend.stream_chat(seat.model, asked),
        )
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def Complete(self, request: pb.CompleteRequest, _context: Context) -> pb.CompleteResponse:
        access.check(_NO_NAMESPACE, access.Right.READ, RIGHTS)
        return await self._answered(
            "text",
            request.model,
            lambda seat: seat.place.backend.complete(seat.model, request),
        )

    async def StreamComplete(
        self, request: pb.StreamCompleteRequest, _context: Context
    ) -> AsyncIterator[pb.StreamCompleteResponse]:
        access.check(_NO_NAMESPACE, access.Right.READ, RIGHTS)
        resumable: Resumable[pb.StreamCompleteResponse] = Resumable(request, "text", self._clock)
        parts = self._streamed(
            resumable,
            request.model,
            lambda seat, asked: seat.place.backend.stream_complete(seat.model, asked),
        )
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def _answered(
        self, kind: str, model: str, ask: Callable[[Seat], Awaitable[Answer]]
    ) -> Answer:
        """With a name of that kind, and when it was begun."""
        created_ns = int(self._clock.now().timestamp() * 1e9)
        with answering():
            answer = await answered(await self._tries(model), ask)
        answer.response_id = _name(kind)
        answer.created.FromNanoseconds(created_ns)
        return answer

    async def _streamed(
        self,
        resumable: Resumable[Part],
        model: str,
        begin: Callable[[Seat, Any], AsyncGenerator[Part, None]],
    ) -> AsyncGenerator[Part, None]:
        if resumable.is_over:
            return
        with answering():
            tries = Tries(await resumable.chain(self._catalog, model), self._clock)
            async with aclosing(streamed(tries, lambda: resumable.parts(tries, begin))) as parts:
                async for part in parts:
                    if part.HasField("answerer"):
                        resumable.sign(part)
                    yield part

    async def _tries(self, model: str) -> Tries:
        return Tries(await self._catalog.chain(model), self._clock)


def _name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"
