"""Conversations to answers. Contract: tandem.models.v1.ModelService."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing

from services.models.model.catalog import DEFAULT, Catalog
from services.models.model.refusal import answering
from services.models.model.tries import Tries, answered, streamed
from tandem.models.v1 import errors_pb2 as errors
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.ml.generation.protocol import ModelGone
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of

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
        found = (place.look() for place in self._catalog.places.values())
        return pb.ListBackendsResponse(backends=found)

    async def Chat(self, request: pb.ChatRequest, _context: Context) -> pb.ChatResponse:
        created = self._clock.now()
        with answering():
            answer = await answered(
                await self._tries(request.model),
                lambda seat: seat.place.backend.chat(seat.model, request),
            )
        answer.response_id = _name("chat")
        answer.created.FromDatetime(created)
        return answer

    async def StreamChat(
        self, request: pb.StreamChatRequest, _context: Context
    ) -> AsyncIterator[pb.StreamChatResponse]:
        created, name = self._clock.now(), _name("chat")
        with answering():
            parts = streamed(
                await self._tries(request.model),
                lambda seat: seat.place.backend.stream_chat(seat.model, request),
            )
            async with aclosing(parts):
                async for part in parts:
                    if part.HasField("answerer"):
                        part.response_id = name
                        part.created.FromDatetime(created)
                    yield part

    async def Complete(self, request: pb.CompleteRequest, _context: Context) -> pb.CompleteResponse:
        created = self._clock.now()
        with answering():
            answer = await answered(
                await self._tries(request.model),
                lambda seat: seat.place.backend.complete(seat.model, request),
            )
        answer.response_id = _name("text")
        answer.created.FromDatetime(created)
        return answer

    async def StreamComplete(
        self, request: pb.StreamCompleteRequest, _context: Context
    ) -> AsyncIterator[pb.StreamCompleteResponse]:
        created, name = self._clock.now(), _name("text")
        with answering():
            parts = streamed(
                await self._tries(request.model),
                lambda seat: seat.place.backend.stream_complete(seat.model, request),
            )
            async with aclosing(parts):
                async for part in parts:
                    if part.HasField("answerer"):
                        part.response_id = name
                        part.created.FromDatetime(created)
                    yield part

    async def _tries(self, model: str) -> Tries:
        return Tries(await self._catalog.chain(model), self._clock)


def _name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"
