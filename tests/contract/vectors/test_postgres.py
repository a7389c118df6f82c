"""Vectors in PostgreSQL by pgvector, held to the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.memory.config.v1 import vector_backend_pb2 as cfg
from tandemkit.reach.failure import Refused
from tandemkit.storage.vectors.postgres import postgres_vectors
from tandemkit.storage.vectors.protocol import Index, VectorStore
from tandemkit.storage.vectors.stores import DsnUnreadable, opened
from tandemkit.testing.parts_storage import PostgresServer, postgres_server
from tests.contract.vectors.points import SPACE, Case, found, plan, point, vector
from tests.contract.vectors.suite import VectorSuite


class _Postgres:
    is_kept = True
    indexes = (Index.AUTO, Index.FLAT)
    many = 1500

    def __init__(self, dsn: str) -> None:
        self._dsn, self._stack = dsn, AsyncExitStack()
        self._store: VectorStore | None = None

    async def open(self) -> VectorStore:
        if self._store is None:
            try:
                opening = postgres_vectors(self._dsn)
                self._store = await self._stack.enter_async_context(opening)
            except Refused as error:
                pytest.skip(str(error))
        return self._store

    async def reopen(self) -> VectorStore:
        await self.close()
        return await self.open()

    async def settled(self) -> None:
        """Its index grows with the points."""

    async def empty(self) -> None:
        store = await self.open()
        for name in await store.names():
            await store.drop(name)

    async def close(self) -> None:
        self._store = None
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with postgres_server() as found:
        yield found


class TestPostgres(VectorSuite):
    @pytest.fixture
    async def case(self, server: PostgresServer) -> AsyncIterator[Case]:
        kept = _Postgres(server.dsn)
        await kept.empty()
        yield kept
        await kept.close()


async def test_the_settings_lead_to_a_database(server: PostgresServer, tmp_path: Path) -> None:
    """By a file that says where it is, and what is wrong with that file is told."""
    dsn = tmp_path / "dsn"
    said = cfg.VectorBackend(postgres=cfg.VectorPostgres(dsn_file=str(dsn)))
    with pytest.raises(DsnUnreadable, match="No such file"):
        async with opened(said, tmp_path):
            pass
    dsn.write_text(f"{server.dsn}\n")
    async with opened(said, tmp_path) as store:
        target = await store.create("of-settings", plan())
        await target.upsert([point("a", 1.0)], SPACE)
        assert await found(target, vector(1.0), 1) == ["a"]
        assert await store.drop("of-settings")
