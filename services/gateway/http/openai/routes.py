"""OpenAI's HTTP API over the fleet's models, for clients that know no other. What it is and what it
is not: docs/design/openai.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

from aiohttp import web

from services.gateway.http import body
from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied
from services.gateway.http.face import Face
from services.gateway.http.front import Front
from services.gateway.http.openai import (
    absent,
    chat,
    completion,
    embedding,
    errors,
    fronting,
    listing,
)
from services.gateway.http.openai.errors import ErrorAnswer, Refused
from services.gateway.http.openai.events import events
from services.gateway.http.openai.fields import body_of
from services.gateway.http.openai.json_text import encoded
from services.gateway.http.openai.merging import merged
from services.gateway.http.openai.sampling import tells_usage
from tandem.language.v1 import request_coordinator_service_pb2 as asking
from tandem.memory.v1 import embedding_service_pb2 as embedding_pb
from tandem.models.v1 import chat_pb2
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.rpc.contract import Method

_METHODS = pb.DESCRIPTOR.services_by_name["ModelService"].methods_by_name
CHAT, STREAM_CHAT, COMPLETE, STREAM_COMPLETE = (
    Method.of(_METHODS[name]) for name in ("Chat", "StreamChat", "Complete", "StreamComplete")
)
_FRONT = asking.DESCRIPTOR.services_by_name["RequestCoordinatorService"].methods_by_name
ASK, STREAM_ASK = Method.of(_FRONT["Ask"]), Method.of(_FRONT["StreamAsk"])
_EMBEDDING = embedding_pb.DESCRIPTOR.services_by_name["EmbeddingService"].methods_by_name
EMBED = Method.of(_EMBEDDING["EmbedTexts"])
PATH: Final = "/v1/"
BACKEND_HEADER: Final = "x-tandem-backend"
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Message = TypeVar("Message")


def face(front: Front, body_bytes_max: int) -> Face:
    answers = _Answers(front, body_bytes_max)
    routes = (
        web.post("/v1/chat/completions", _refusing(answers.chat)),
        web.post("/v1/completions", _refusing(answers.complete)),
        web.post("/v1/embeddings", _refusing(answers.embed)),
        web.get("/v1/models", answers.models),
        web.get("/v1/models/{model:.+}", answers.model),
        web.route("*", "/v1/{path:.*}", _refusing(answers.absent)),
    )
    return Face(PATH, "OpenAI's HTTP API over the fleet's models.", routes, says)


def says(_request: web.BaseRequest, denied: Denied) -> web.Response:
    """Of every path below."""
    return _error(errors.of(denied))


class _Answers:
    """One method for each path. Each raises Refused or Denied."""

    def __init__(self, front: Front, body_bytes_max: int) -> None:
        self._front, self._body_bytes_max = front, body_bytes_max

    async def _body(self, request: web.Request) -> dict[str, Any]:
        return body_of(await body.read(request, self._body_bytes_max))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = self._front.asked(request)
        said = await self._body(request)
        if fronting.is_asked(said):
            return await self._ask(request, asked, said)
        message = chat.request_of(said)
        if isinstance(message, pb.StreamChatRequest):
            return await self._stream_chat(request, asked, message, usage=tells_usage(said))
        response = await self._front.call(asked, CHAT, message)
        return _answer(chat.answer_json(response), _backend(response.answerer))

    async def _stream_chat(
        self, request: web.Request, asked: Asked, message: pb.StreamChatRequest, *, usage: bool
    ) -> web.StreamResponse:
        async with aclosing(self._front.stream(asked, STREAM_CHAT, message)) as messages:
            first = await _first(messages)
            chunks = chat.Chunks(chat.Begun.of(first), tells_usage=usage)
            async with events(request, _backend(first.answerer)) as told:
                await told.say(chunks.begin() + chunks.of(first))
                async for one in messages:
                    if one.finish_reason:
                        told.hold(chunks.of(one))
                    else:
                        await told.say(chunks.of(one))
        return told.response

    async def _ask(
        self, request: web.Request, asked: Asked, said: dict[str, Any]
    ) -> web.StreamResponse:
        message, created_s = fronting.request_of(said), int(self._front.clock.now().timestamp())
        if isinstance(message, asking.AskRequest):
            answer = await self._front.call(asked, ASK, message)
            body = fronting.answer_json(answer, created_s)
            return _answer(body, {BACKEND_HEADER: answer.answerer.backend})
        async with aclosing(self._front.stream(asked, STREAM_ASK, message)) as messages:
            started = (await _first(messages)).started
            chunks = fronting.Chunks(started, created_s, tells_usage=tells_usage(said))
            begun = ""
            # It may still turn out that nobody answers.
            while not begun:
                begun = chunks.of(await _first(messages))
            async with events(request, {}) as told:
                await told.say(chunks.begin() + begun)
                async for one in messages:
                    await told.say(chunks.of(one))
        return told.response

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = self._front.asked(request)
        said = await self._body(request)
        messages = completion.requests_of(said)
        self._front.count(asked, len(messages), taken=1)
        if isinstance(messages[0], pb.StreamCompleteRequest):
            return await self._stream_texts(request, asked, messages, usage=tells_usage(said))
        calls = [self._once(asked, one) for one in messages]
        async with aclosing(merged(calls)) as answers:
            found = {at: one async for at, one in answers}
        responses = [found[at] for at in sorted(found)]
        return _answer(completion.answer_json(responses), _backend(responses[0].answerer))

    async def _once(self, asked: Asked, message: Any) -> AsyncIterator[Any]:
        yield await self._front.call(asked, COMPLETE, message)

    async def _stream_texts(
        self, request: web.Request, asked: Asked, messages: Sequence[Any], *, usage: bool
    ) -> web.StreamResponse:
        calls = [self._front.stream(asked, STREAM_COMPLETE, one) for one in messages]
        async with aclosing(merged(calls)) as answers:
            at, first = await _first(answers)
            chunks = completion.Chunks(first, tells_usage=usage)
            async with events(request, _backend(first.answerer)) as told:
                await told.say(chunks.of(at, first))
                async for at, one in answers:
                    await told.say(chunks.of(at, one))
                told.hold(chunks.end())
        return told.response

    async def embed(self, request: web.Request) -> web.StreamResponse:
        asked = self._front.asked(request)
        wanted = embedding.asked_of(await self._body(request))
        if wanted.dimension:
            known = await self._front.call(
                asked, listing.LIST_EMBEDDING, embedding_pb.ListEmbeddingModelsRequest()
            )
            embedding.check_dimension(wanted, known.models)
        requests = list(wanted.requests())
        self._front.count(asked, len(requests), taken=1)
        # What comes in one call is computed together: more of them at once gain nothing.
        responses = [await self._front.call(asked, EMBED, one) for one in requests]
        return _answer(embedding.answer_json(wanted, responses))

    async def models(self, request: web.Request) -> web.StreamResponse:
        asked = self._front.asked(request)
        return _answer(encoded(await listing.listed(self._front, asked)))

    async def model(self, request: web.Request) -> web.StreamResponse:
        asked = self._front.asked(request)
        name = request.match_info["model"]
        return _answer(encoded(await listing.described(self._front, asked, name)))

    async def absent(self, request: web.Request) -> web.StreamResponse:
        raise absent.refusal(request.method, request.path)


def _refusing(answering: Answering) -> Answering:
    """What is denied by others, the guard hands to `says`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await answering(request)
        except Refused as refused:
            return _error(refused.answer)

    return answer


async def _first(messages: AsyncIterator[Message]) -> Message:
    """Waited for before the answer is begun: whatever fails until then has a status of its own."""
    async for one in messages:
        return one
    raise Denied("INTERNAL", "the agent ended its stream without an answer")


def _answer(said: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=said.encode(), headers=headers, content_type="application/json")


def _error(answer: ErrorAnswer) -> web.Response:
    return web.Response(
        body=answer.body.encode(),
        status=answer.status,
        headers=answer.headers,
        content_type="application/json",
    )


def _backend(answerer: chat_pb2.Answerer) -> Mapping[str, str]:
    return {BACKEND_HEADER: answerer.backend}
