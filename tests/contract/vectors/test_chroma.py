"""Catalogue row M147: a real Chroma server, held to the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.memory.config.v1 import vector_backend_pb2 as cfg
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.vectors.chroma import ChromaPlace, chroma_vectors
from tandemkit.storage.vectors.protocol import Index, VectorStore
from tandemkit.storage.vectors.stores import opened
from tandemkit.testing.parts import free_ports
from tandemkit.testing.parts_vectors import chroma_server
from tests.contract.vectors.points import SPACE, Case, found, plan, point, vector
from tests.contract.vectors.suite import VectorSuite


def place_at(url: str) -> ChromaPlace:
    return ChromaPlace(url, "default_tenant", "default_database")


class _Chroma:
    is_kept = True
    indexes = (Index.AUTO,)
    many = 1500

    def __init__(self, url: str) -> None:
        self._place, self._stack = place_at(url), AsyncExitStack()

    async def open(self) -> VectorStore:
        return await self._stack.enter_async_context(chroma_vectors(self._place))

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
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with chroma_server() as found:
        yield found


class TestChroma(VectorSuite):
    @pytest.fixture
    async def case(self, url: str) -> AsyncIterator[Case]:
        kept = _Chroma(url)
        await kept.empty()
        yield kept
        await kept.close()


async def test_m147_the_settings_lead_to_a_chroma(url: str, tmp_path: Path) -> None:
    """A token is shown to who asks for none too."""
    said = cfg.VectorBackend(chroma=cfg.VectorChroma(url=url, token_secret="chroma_token"))
    async with opened(said, tmp_path, lambda name: lambda: f"the {name}") as store:
        target = await store.create("of-settings", plan())
        await target.upsert([point("a", 1.0)], SPACE)
        assert await found(target, vector(1.0), 1) == ["a"]
        assert await store.drop("of-settings")


async def test_a_server_that_is_away_is_unreachable() -> None:
    """And not an empty one."""
    (port,) = free_ports(1)
    async with chroma_vectors(place_at(f"http://127.0.0.1:{port}")) as store:
        with pytest.raises(Unreachable):
            await store.create("one", plan())
        with pytest.raises(Unreachable):
            await store.check()
