"""The agent over fakes of the agents that have models, as its tests ask it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from inference import grpc_inference_service_pb2 as pb
from inference import grpc_inference_service_pb2_grpc as rpc
from services.gateway.kserve.agent import AGENT
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.models.v1 import chat_pb2 as chats
from tandem.models.v1 import model_service_pb2 as generating
from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.rpc.priority import HEADER
from tandemkit.testing.agents import fake_agent, serving

MODEL = "hashes"


@dataclass
class Texts:
    """tandem.memory.v1.EmbeddingService over hashes of words, and what it was asked."""

    asked: list[embedding.EmbedTextsRequest] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    listed: int = 0
    cause: str = ""
    away: grpc.StatusCode | None = None
    is_slow: bool = False
    embedder: HashingEmbedder = field(default_factory=lambda: HashingEmbedder(MODEL))

    async def embed(
        self, request: embedding.EmbedTextsRequest, context: Any
    ) -> embedding.EmbedTextsResponse:
        self.asked.append(request)
        self.classes.append(str(dict(context.invocation_metadata()).get(HEADER, "")))
        if self.is_slow:
            await asyncio.Event().wait()
        await self._here(context)
        found = await self.embedder.embed(request.texts)
        made = embedding.EmbedTextsResponse()
        self._say(made.space)
        for one in found:
            made.embeddings.add(values=one.vector)
        return made

    async def models(
        self, _request: embedding.ListEmbeddingModelsRequest, context: Any
    ) -> embedding.ListEmbeddingModelsResponse:
        self.listed += 1
        await self._here(context)
        made = embedding.ListEmbeddingModelsResponse()
        one = made.models.add(unavailable_cause=self.cause)
        self._say(one.space)
        return made

    async def _here(self, context: Any) -> None:
        if self.away:
            await context.abort(self.away, "the texts are away")

    def _say(self, space: Any) -> None:
        own = self.embedder.space
        space.model, space.version, space.dimension = own.model, own.version, own.dimension


@dataclass
class Talker:
    """tandem.models.v1.ModelService that says the words of its answer, one by one."""

    words: tuple[str, ...] = ("one ", "two ", "three")
    asked: list[Any] = field(default_factory=list)
    # What the stream fails with behind its first word, the first time.
    cut: grpc.StatusCode | None = None

    async def models(self, _request: Any, _context: Any) -> generating.ListModelsResponse:
        made = generating.ListModelsResponse()
        for name in ("default", "talker/words"):
            made.models.add(name=name, is_generative=True)
        return made

    async def chat(self, request: Any, _context: Any) -> generating.ChatResponse:
        self.asked.append(request)
        made = generating.ChatResponse(finish_reason=chats.FINISH_REASON_STOP)
        made.message.role, made.message.content = chats.CHAT_ROLE_ASSISTANT, "".join(self.words)
        made.answerer.CopyFrom(self._answerer())
        return made

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        first = int(request.resume_token or 0)
        for number, word in enumerate(self.words[first:], start=first + 1):
            part = generating.StreamChatResponse(text=word, resume_token=str(number))
            if number == first + 1:
                part.answerer.CopyFrom(self._answerer())
            yield part
            if self.cut and number == 1:
                await context.abort(self.cut, "the answer was another one")
        yield generating.StreamChatResponse(finish_reason=chats.FINISH_REASON_LENGTH)

    async def complete(self, request: Any, _context: Any) -> generating.CompleteResponse:
        self.asked.append(request)
        return generating.CompleteResponse(text="!", answerer=self._answerer())

    def _answerer(self) -> chats.Answerer:
        return chats.Answerer(backend="talker", model="words", is_generative=True)


@asynccontextmanager
async def inferring(
    folder: Path,
    texts: Texts | None = None,
    talker: Talker | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[rpc.GRPCInferenceServiceAsyncStub]:
    beside = fakes(texts or Texts(), talker or Talker())
    async with serving(AGENT, beside=beside, state_dir=folder, clock=clock) as channel:
        yield rpc.GRPCInferenceServiceStub(channel)


def fakes(texts: Texts, talker: Talker) -> tuple[Agent, Agent]:
    """The agents that have models."""
    return (
        fake_agent(embedding.DESCRIPTOR, EmbedTexts=texts.embed, ListEmbeddingModels=texts.models),
        fake_agent(
            generating.DESCRIPTOR,
            ListModels=talker.models,
            Chat=talker.chat,
            StreamChat=talker.stream,
            Complete=talker.complete,
        ),
    )


def packed(texts: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in texts)


def request(*texts: str, **fields: Any) -> pb.ModelInferRequest:
    """Of the model of texts, with raw contents."""
    made = pb.ModelInferRequest(model_name=MODEL, **fields)
    made.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    made.raw_input_contents.append(packed(one.encode() for one in texts))
    return made


def prompt(text: str, *, stream: bool = False, sampling: str = "") -> pb.ModelInferRequest:
    """Of a language model, with typed contents."""
    made = pb.ModelInferRequest(model_name="default", id="p")
    given = made.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    given.contents.bytes_contents.append(text.encode())
    if stream:
        given = made.inputs.add(name="stream", datatype="BOOL", shape=[1])
        given.contents.bool_contents.append(True)
    if sampling:
        given = made.inputs.add(name="sampling_parameters", datatype="BYTES", shape=[1])
        given.contents.bytes_contents.append(sampling.encode())
    return made
