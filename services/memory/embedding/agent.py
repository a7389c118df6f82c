"""Texts as vectors. Contract: tandem.memory.v1.EmbeddingService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.embedding.models import models
from services.memory.embedding.servicer import Embeddings
from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, settings: cfg.EmbeddingSettings) -> AsyncIterator[Embeddings]:
    async with models(settings, scope, Environment.read().cache) as found:
        yield Embeddings(found)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.EmbeddingSettings, build=build)
main = AGENT.main
