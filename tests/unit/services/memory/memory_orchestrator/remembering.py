"""A real server that remembers, and short words to ask it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest

from services.memory.memory_orchestrator.agent import AGENT
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import embedding_service_pb2 as embedding_pb
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually

Stub: TypeAlias = "rpc.MemoryOrchestratorServiceAsyncStub"


@asynccontextmanager
async def remembering(
    folder: Path,
    *beside: Agent,
    settings: cfg.MemoryOrchestratorSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Stub]:
    """The same folder again is a restart."""
    async with serving(
        AGENT, settings=settings, beside=beside, state_dir=folder, clock=clock
    ) as channel:
        yield rpc.MemoryOrchestratorServiceStub(channel)


async def add(stub: Stub, text: str, memory_id: str = "", **said: Any) -> nouns.Memory:
    memory = nouns.Memory(text=text, **said)
    request = pb.AddMemoryRequest(memory_id=memory_id, memory=memory)
    return (await stub.AddMemory(request)).memory


async def search(stub: Stub, query: str, **said: Any) -> pb.SearchMemoriesResponse:
    return await stub.SearchMemories(pb.SearchMemoriesRequest(query=query, **said))


async def ids(stub: Stub, query: str, **said: Any) -> list[str]:
    """Of what is found, the best first."""
    found = await search(stub, query, **said)
    return [hit.memory.name.rpartition("/")[2] for hit in found.hits]


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def name(memory_id: str) -> str:
    return f"namespaces/default/memories/{memory_id}"


class Words:
    """Stands in for the embedding service: it hashes words, and fails while it is told to."""

    def __init__(self, model: str = "words") -> None:
        self._embedder = HashingEmbedder(model, 64)
        self.is_away = False
        self.embedded: list[str] = []

    @property
    def agent(self) -> Agent:
        return fake_agent(embedding_pb.DESCRIPTOR, EmbedTexts=self._embed)

    async def _embed(
        self, request: embedding_pb.EmbedTextsRequest, _context: object
    ) -> embedding_pb.EmbedTextsResponse:
        if self.is_away:
            reason = errors.ERROR_REASON_EMBEDDER_UNREACHABLE
            raise TransientError(reason, "it was told to fail", retry_after_s=1.0)
        if request.purpose != embedding_pb.EMBEDDING_PURPOSE_QUERY:
            self.embedded.extend(request.texts)
        found = await self._embedder.embed(request.texts)
        space = self._embedder.space
        told = embedding_pb.EmbedTextsResponse()
        told.space.model, told.space.version = space.model, space.version
        told.space.dimension = space.dimension
        for one in found:
            told.embeddings.add(values=one.vector)
        return told


async def embedded(stub: Stub, count: int) -> None:
    """Returns when so many have their vectors."""

    async def known() -> int:
        page = await stub.ListMemories(pb.ListMemoriesRequest(page_size=1000))
        return sum(one.is_embedded for one in page.memories)

    await eventually(known, lambda found: found == count)
