"""Agents that answer as tests say: by the model's name, and by what is asked of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from tandem.language.v1 import answer_pb2 as answering
from tandem.language.v1 import errors_pb2 as asking_errors
from tandem.language.v1 import request_coordinator_service_pb2 as asking
from tandem.memory.v1 import embedding_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2 as embedding_pb
from tandem.models.v1 import chat_pb2 as noun
from tandem.models.v1 import errors_pb2 as errors
from tandem.models.v1 import model_pb2 as model
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.rpc.context import Context
from tandemkit.testing.agents import fake_agent

MODEL, QUOTES, EMBEDDER = "script/words", "quotes", "some-words"
# One model for each way to fail, and one that is never done.
FAILING = {
    "unknown": errors.ERROR_REASON_MODEL_UNKNOWN,
    "refused": errors.ERROR_REASON_BACKEND_REFUSED,
    "unsupported": errors.ERROR_REASON_FEATURE_UNSUPPORTED,
    "long": errors.ERROR_REASON_CONTEXT_TOO_LONG,
    "gone": errors.ERROR_REASON_STREAM_NOT_RESUMABLE,
    "away": errors.ERROR_REASON_BACKEND_UNREACHABLE,
    "busy": errors.ERROR_REASON_BACKEND_BUSY,
}
FOREVER = "forever"
ASKED = [{"role": "user", "content": "how far"}]
_SOURCE = noun.QuotedSource(
    number=1,
    name="documents/1/passages/1",
    uri="docs/a.md",
    headings=["Agents"],
    quote="Five facts.",
)
_USAGE = noun.Usage(prompt_tokens=3, completion_tokens=4)
_CREATED_S = 1_700_000_000
_DIMENSION = 4
_LOST_AT = 4


class Scripted:
    """`asked` are the requests; `gone` tells of each that never ended that nobody waits for it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.gone: asyncio.Queue[str] = asyncio.Queue()

    @property
    def agents(self) -> tuple[Agent, ...]:
        methods = {"Chat": self.chat, "StreamChat": self.stream_chat}
        texts = {"Complete": self.complete, "StreamComplete": self.stream_complete}
        listing = {"ListModels": self.list_models, "GetModel": self.get_model}
        front = _Front(self.asked)
        embedding_methods = {"EmbedTexts": self.embed, "ListEmbeddingModels": self.list_embedding}
        return (
            fake_agent(pb.DESCRIPTOR, **methods, **texts, **listing),
            fake_agent(embedding_pb.DESCRIPTOR, **embedding_methods),
            fake_agent(asking.DESCRIPTOR, Ask=front.ask, StreamAsk=front.stream_ask),
        )

    async def chat(self, request: Any, _context: Context) -> pb.ChatResponse:
        parts = [one async for one in self._parts(request)]
        calls = [
            noun.ToolCall(id=one.id, name=one.name, arguments_json=one.arguments_json + '"}')
            for part in parts
            for one in part.tool_calls
            if one.id
        ]
        answer = pb.ChatResponse(
            message=noun.ChatMessage(
                role=noun.CHAT_ROLE_ASSISTANT,
                content="".join(one.text for one in parts),
                tool_calls=calls,
            ),
            finish_reason=parts[-1].finish_reason,
            usage=_USAGE,
            answerer=parts[0].answerer,
            sources=parts[-1].sources,
            response_id="chat-1",
        )
        answer.created.FromSeconds(_CREATED_S)
        return answer

    async def stream_chat(
        self, request: Any, _context: Context
    ) -> AsyncIterator[pb.StreamChatResponse]:
        """The model `moves` loses its server behind the third message, and goes on behind that."""
        first, number = int(request.resume_token or 0), 0
        async for one in self._parts(request):
            number += 1
            if number <= first:
                continue
            if request.model == "moves" and number == _LOST_AT and not first:
                _fail("away")
            one.resume_token = str(number) if request.model == "moves" else ""
            yield one

    async def _parts(self, request: Any) -> AsyncIterator[pb.StreamChatResponse]:
        self.asked.append(request)
        _fail(request.model)
        is_generative = request.model != QUOTES
        begun = pb.StreamChatResponse(
            response_id="chat-1",
            answerer=noun.Answerer(
                backend=request.model.partition("/")[0],
                model="words" if is_generative else "",
                is_generative=is_generative,
            ),
        )
        begun.created.FromSeconds(_CREATED_S)
        yield begun
        if request.tools:
            async for one in _called(request):
                yield one
            return
        for word in _words(request):
            yield pb.StreamChatResponse(text=word)
        await self._perhaps_forever(request.model)
        if request.model == "breaks":
            _fail("away")
        sources = () if is_generative else (_SOURCE,)
        yield pb.StreamChatResponse(
            finish_reason=noun.FINISH_REASON_STOP, usage=_USAGE, sources=sources
        )

    async def complete(self, request: Any, _context: Context) -> pb.CompleteResponse:
        self.asked.append(request)
        _fail(request.model)
        await self._perhaps_forever(request.model)
        answer = pb.CompleteResponse(
            text=f"{request.prompt} and so on",
            finish_reason=noun.FINISH_REASON_LENGTH,
            usage=_USAGE,
            answerer=noun.Answerer(backend="script", model="words", is_generative=True),
            response_id="text-1",
        )
        answer.created.FromSeconds(_CREATED_S)
        return answer

    async def stream_complete(
        self, request: Any, context: Context
    ) -> AsyncIterator[pb.StreamCompleteResponse]:
        whole = await self.complete(request, context)
        yield pb.StreamCompleteResponse(
            text=whole.text[:3],
            answerer=whole.answerer,
            response_id=whole.response_id,
            created=whole.created,
        )
        yield pb.StreamCompleteResponse(
            text=whole.text[3:], finish_reason=whole.finish_reason, usage=whole.usage
        )

    async def _perhaps_forever(self, name: str) -> None:
        if name == FOREVER:
            try:
                await asyncio.Event().wait()
            finally:
                self.gone.put_nowait(name)

    async def list_models(self, _request: Any, _context: Context) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=[_MODEL])

    async def get_model(self, request: Any, _context: Context) -> pb.GetModelResponse:
        if request.name != MODEL:
            _fail("unknown")
        return pb.GetModelResponse(model=_MODEL)

    async def embed(self, request: Any, _context: Context) -> embedding_pb.EmbedTextsResponse:
        self.asked.append(request)
        return embedding_pb.EmbedTextsResponse(
            space=embedding.EmbeddingSpace(model=EMBEDDER, dimension=_DIMENSION),
            embeddings=[
                embedding.Embedding(values=(len(one), 0.5, -1, 0)) for one in request.texts
            ],
            tokens=[len(one.split()) for one in request.texts],
        )

    async def list_embedding(
        self, _request: Any, _context: Context
    ) -> embedding_pb.ListEmbeddingModelsResponse:
        space = embedding.EmbeddingSpace(model=EMBEDDER, dimension=_DIMENSION)
        known = embedding.EmbeddingModel(
            space=space, backend=embedding.EMBEDDING_BACKEND_HASHING, is_default=True
        )
        return embedding_pb.ListEmbeddingModelsResponse(models=[known])


class _Front:
    """The agent that asks the right one."""

    def __init__(self, asked: list[Any]) -> None:
        self.asked = asked

    async def ask(self, request: Any, _context: Context) -> asking.AskResponse:
        self.asked.append(request)
        return _ANSWER

    async def stream_ask(
        self, request: Any, _context: Context
    ) -> AsyncIterator[asking.StreamAskResponse]:
        self.asked.append(request)
        started = asking.Started(routing=_ANSWER.routing, correlation_id="c-1")
        yield asking.StreamAskResponse(started=started)
        shortfall = answering.Shortfall(service="tandem.models.v1.ModelService", cause="away")
        yield asking.StreamAskResponse(shortfall=shortfall)
        if request.text == "nobody knows":
            raise TransientError(asking_errors.ERROR_REASON_NOBODY_ANSWERED, "x", retry_after_s=0.3)
        for word in ("Five facts", " [1]."):
            yield asking.StreamAskResponse(piece=asking.Piece(text=word))
        yield asking.StreamAskResponse(finished=_ANSWER)


_MODEL = model.Model(
    name=MODEL,
    answerers=[MODEL],
    is_generative=True,
    features=[model.MODEL_FEATURE_CHAT, model.MODEL_FEATURE_TOOLS],
)
_ANSWER = asking.AskResponse(
    answer="Five facts [1].",
    is_answered=True,
    routing=answering.Routing(
        route=answering.ROUTE_KNOWLEDGE, basis=answering.ROUTE_BASIS_CLASSIFIER
    ),
    citations=[answering.Citation(number=1, name="p/1", title="Agents", uri="docs/a.md")],
    answerer=answering.Answerer(service="tandem.memory.v1.AnswerService", backend="extractive"),
    correlation_id="c-1",
)


def _fail(name: str) -> None:
    if name in {"away", "busy"}:
        raise TransientError(FAILING[name], "not now", retry_after_s=0.3, backend="script")
    if name in FAILING:
        raise CallerError(FAILING[name], "it cannot be", model=name)
    if name == "broken":
        raise RuntimeError("a defect of the agent")


def _words(request: Any) -> list[str]:
    if request.form.WhichOneof("form"):
        return ['{"far":', f"{json.dumps(request.messages[-1].content)}", "}"]
    if request.model == QUOTES:
        return ["Five facts", " [1]."]
    return [f"{word} " for word in f"You said: {request.messages[-1].content}".split()]


async def _called(request: Any) -> AsyncIterator[pb.StreamChatResponse]:
    """Every tool at once, its arguments in two pieces."""
    calls = [
        noun.ToolCallDelta(index=at, id=f"call-{at}", name=one.name, arguments_json='{"of":"x')
        for at, one in enumerate(request.tools)
    ]
    yield pb.StreamChatResponse(tool_calls=calls)
    rest = [noun.ToolCallDelta(index=one.index, arguments_json='"}') for one in calls]
    yield pb.StreamChatResponse(tool_calls=rest)
    yield pb.StreamChatResponse(finish_reason=noun.FINISH_REASON_TOOL_CALLS, usage=_USAGE)
