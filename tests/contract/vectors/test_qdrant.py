"""Catalogue row M148: Qdrant by its client, in the client's own local mode: no package carries the
server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tandem.memory.config.v1 import vector_backend_pb2 as cfg
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.vectors.protocol import Index, VectorStore
from tandemkit.storage.vectors.qdrant import QdrantPlace, qdrant_vectors
from tandemkit.storage.vectors.stores import opened
from tandemkit.testing.parts import free_ports
from tests.contract.vectors.points import Case, plan
from tests.contract.vectors.suite import VectorSuite


class _Local:
    is_kept = True
    indexes = (Index.AUTO,)
    many = 200

    def __init__(self, folder: Path) -> None:
        self._place, self._stack = QdrantPlace(folder=folder), AsyncExitStack()
        self._store: VectorStore | None = None

    async def open(self) -> VectorStore:
        if self._store is None:
            self._store = await self._stack.enter_async_context(qdrant_vectors(self._place))
        return self._store

    async def reopen(self) -> VectorStore:
        await self.close()
        return await self.open()

    async def settled(self) -> None:
        """It compares all."""

    async def close(self) -> None:
        self._store = None
        await self._stack.aclose()


class TestQdrant(VectorSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        local = _Local(tmp_path)
        yield local
        await local.close()


async def test_a_server_that_is_away_is_unreachable() -> None:
    """And not an empty one."""
    (port,) = free_ports(1)
    async with qdrant_vectors(QdrantPlace(f"http://127.0.0.1:{port}")) as store:
        with pytest.raises(Unreachable):
            await store.create("one", plan())
        with pytest.raises(Unreachable):
            await store.check()


async def test_m148_the_settings_lead_to_a_server(tmp_path: Path) -> None:
    """With the key that a declared secret holds; one that is not declared is named."""
    (port,) = free_ports(1)
    server = cfg.VectorQdrant(url=f"http://127.0.0.1:{port}", key_secret="qdrant_key")
    said = cfg.VectorBackend(qdrant=server)
    with pytest.raises(ValueError, match="qdrant_key"):
        async with opened(said, tmp_path):
            pass
    async with opened(said, tmp_path, lambda name: lambda: f"the {name}") as store:
        with pytest.raises(Unreachable):
            await store.names()
