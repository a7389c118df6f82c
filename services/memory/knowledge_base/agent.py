"""Documents, found by words and by meaning. Contract: tandem.memory.v1.KnowledgeBaseService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

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
from tandemkit.hosting.fleet_embedder import FleetEmbedder
from tandemkit.hosting.fleet_embedder import Vectors as Found
from tandemkit.hosting.scope import Scope
from tandemkit.storage.vectors.protocol import VectorStore
from tandemkit.storage.vectors.wire import space_of

_FILE: Final = "knowledge.sqlite"
_BYTES_MAX, _DOCUMENTS_MAX = 16 * 1024 * 1024, 20_000
CANDIDATES: Final = 100
_PARSE_S, _QUESTION_S, _PASSAGES_S = 60.0, 1.0, 30.0


class Embedding:
    """`ports.Embedder`: the fleet's EmbeddingService."""

    def __init__(self, fleet: FleetEmbedder) -> None:
        self._fleet = fleet

    async def question(self, text: str, time_s: float) -> Embedded:
        return _embedded(await self._fleet.question(text, time_s))

    async def passages(self, texts: Sequence[str], *, is_public: bool) -> Embedded:
        return _embedded(await self._fleet.passages(texts, _PASSAGES_S, is_public=is_public))


def _embedded(found: Found) -> Embedded:
    # With the first vector comes numpy, and not before.
    from services.memory.knowledge_base.arrays import arrays

    return Embedded(space_of(found.space), arrays(found.vectors))


@asynccontextmanager
async def build(scope: Scope, settings: cfg.KnowledgeBaseSettings) -> AsyncIterator[KnowledgeBase]:
    async with library(scope.state_dir / _FILE) as opened:
        scope.ready_when(opened.check)
        embedder = Embedding(FleetEmbedder(scope.stub(embedding_rpc.EmbeddingServiceStub)))
        vectors = Vectors(opened, partial(_vectors, scope.state_dir))
        following = Following(opened, vectors, embedder, scope.clock)
        jail = Jail(tuple(settings.roots))
        sources = Sources(jail, scope.workers(), _limits(settings))
        intake = Intake(opened, sources, scope.clock)
        intake.when_filed(following.go_on)
        desk = Desk(opened, jail, intake, scope.clock)
        asks_own = not settings.without_own_documents
        if asks_own:
            await _take_own(desk)
        scope.spawn("intake", intake.run())
        scope.spawn("vectors", following.run())
        search = Search(opened, Meaning(vectors, embedder), _terms(settings))
        subjects = Subjects(opened, following)
        yield KnowledgeBase(
            Parts(opened, desk, search, Answers(opened, search), subjects, asks_own)
        )


async def _take_own(desk: Desk) -> None:
    order = await asyncio.to_thread(own_documents.order, Environment.read().root)
    if order is not None:
        await desk.accept_own(order, OWN_NAMESPACE)


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
async def _vectors(folder: Path) -> AsyncIterator[VectorStore]:
    from tandem.memory.config.v1.vector_backend_pb2 import VectorBackend
    from tandemkit.storage.vectors.stores import opened

    async with opened(VectorBackend(), folder) as store:
        yield store


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.KnowledgeBaseSettings,
    soft_calls=(embedding.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
