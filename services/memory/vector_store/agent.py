"""Vectors by their likeness. Contract: tandem.memory.v1.VectorStoreService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.memory.vector_store.collections import Collections
from tandem.memory.config.v1 import vector_store_pb2 as cfg
from tandem.memory.v1 import vector_store_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.storage.vectors.stores import opened

if TYPE_CHECKING:
    from services.memory.vector_store.servicer import Vectors

_COLLECTIONS_MAX = 1000


@asynccontextmanager
async def build(scope: Scope, settings: cfg.VectorStoreSettings) -> AsyncIterator[Vectors]:
    # With it comes numpy, whose threads the host has settled by now.
    from services.memory.vector_store.servicer import Vectors

    def reveal(name: str) -> Callable[[], str]:
        return scope.secret(name).reveal

    async with opened(settings.backend, scope.state_dir, reveal) as store:
        scope.ready_when(store.check)
        yield Vectors(Collections(store, settings.collections_max or _COLLECTIONS_MAX))


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.VectorStoreSettings, build=build)
main = AGENT.main
