"""Documents, found by words and by meaning. Contract: tandem.memory.v1.KnowledgeBaseService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import grpc

from services.memory.knowledge_base import own_documents
from services.memory.knowledge_base.answer import Answers
from services.memory.knowledge_base.desk import Desk
from services.memory.knowledge_base.folders import Jail
from services.memory.knowledge_base.following import Following
from services.memory.knowledge_base.intake import Intake
from services.memory.knowledge_base.library import library
from services.memory.knowledge_base.meaning import Meaning
from services.memory.knowledge_base.names import OWN_NAMESPACE
from services.memory.knowledge_base.ports import Embedded
from services.memory.knowledge_base.search import Search, Terms
from services.memory.knowledge_base.servicer import KnowledgeBase, Parts
from services.memory.knowledge_base.sources import Limits, Sources
from services.memory.knowledge_base.subjects import Subjects
from services.memory.knowledge_base.vectors import Vectors
from tandem.memory.config.v1 import knowledge_base_pb2 as cfg
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2_grpc as embedding_rpc
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.priority import Priority
from tandemkit.storage.vectors.memory import MemoryVectors
from tandemkit.storage.vectors.wire import space_of

_FILE: Final = "knowledge.sqlite"
_BYTES_MAX, _DOCUMENTS_MAX = 16 * 1024 * 1024, 20_000
CANDIDATES: Final = 100
_PARSE_S, _QUESTION_S, _PASSAGES_S = 60.0, 1.0, 30.0


class FleetEmbedder:
    """`ports.Embedder`: the fleet's EmbeddingService."""

    def __init__(self, stub: embedding_rpc.EmbeddingServiceAsyncStub) -> None:
        self._stub = stub

    async def question(self, text: str, time_s: float) -> Embedded:
        purpose = embedding.EMBEDDING_PURPOSE_QUERY
        request = embedding.EmbedTextsRequest(texts=[text], purpose=purpose)
        return await self._embedded(request, time_s)

    async def passages(self, texts: Sequence[str], *, is_public: bool) -> Embedded:
        keep = embedding.EMBEDDING_KEEP_MACHINE if is_public else embedding.EMBEDDING_KEEP_NEVER
        purpose = embedding.EMBEDDING_PURPOSE_PASSAGE
        request = embedding.EmbedTextsRequest(texts=texts, purpose=purpose, keep=keep)
        return await self._embedded(request, _PASSAGES_S, (Priority.BATCH.header,))

    async def _embedded(
        self,
        request: embedding.EmbedTextsRequest,
        time_s: float,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Embedded:
        # With the first vector comes numpy, and not before.
        from services.memory.knowledge_base.arrays import arrays

        try:
            found = await self._stub.EmbedTexts(request, timeout=time_s, metadata=headers)
        except grpc.aio.AioRpcError as error:
            message = "nobody makes vectors now"
            raise Unreachable(message, code=error.code().name) from error
        return Embedded(space_of(found.space), arrays(found.embeddings))


@asynccontextmanager
async def build(scope: Scope, settings: cfg.KnowledgeBaseSettings) -> AsyncIterator[KnowledgeBase]:
    async with library(scope.state_dir / _FILE) as opened:
        scope.ready_when(opened.check)
        embedder = FleetEmbedder(scope.stub(embedding_rpc.EmbeddingServiceStub))
        vectors = Vectors(opened, _vectors)
        following = Following(opened, vectors, embedder, scope.clock)
        jail = Jail(tuple(settings.roots))
        sources = Sources(jail, _limits(settings))
        intake = Intake(opened, sources, scope.workers(), scope.clock)
        intake.when_filed(following.go_on)
        desk = Desk(opened, jail, intake, scope.clock)
        asks_own = not settings.without_own_documents
        if asks_own:
            scope.spawn("own documents", _take_own(desk, following))
        scope.spawn("intake", intake.run())
        scope.spawn("vectors", following.run())
        search = Search(opened, Meaning(vectors, embedder), _terms(settings))
        subjects = Subjects(opened, following)
        yield KnowledgeBase(Parts(opened, desk, search, Answers(search), subjects, asks_own))


async def _take_own(desk: Desk, following: Following) -> None:
    order = await asyncio.to_thread(own_documents.order, Environment.read().root)
    if order is not None:
        following.own_space = await desk.accept_own(order, OWN_NAMESPACE)


def _limits(settings: cfg.KnowledgeBaseSettings) -> Limits:
    return Limits(
        settings.document_bytes_max or _BYTES_MAX,
        settings.documents_max or _DOCUMENTS_MAX,
        _seconds(settings.parse_time_max.ToTimedelta()) or _PARSE_S,
    )


def _terms(settings: cfg.KnowledgeBaseSettings) -> Terms:
    embed_s = _seconds(settings.embed_time_max.ToTimedelta()) or _QUESTION_S
    return Terms(settings.candidates or CANDIDATES, embed_s)


def _seconds(said: timedelta) -> float:
    return said.total_seconds()


@asynccontextmanager
async def _vectors() -> AsyncIterator[MemoryVectors]:
    yield MemoryVectors()


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.KnowledgeBaseSettings,
    soft_calls=(embedding.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
