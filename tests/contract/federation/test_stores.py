"""Catalogue row M055: Chroma, Qdrant and FAISS as one, each as it really is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from services.memory.vector_federation.asking import ANSWERED, FAILED, LATE, SKIPPED, Outcome, Store
from services.memory.vector_federation.federation import Federation, merged
from services.memory.vector_federation.source import Opening, OwnSource
from tandem.memory.config.v1 import vector_backend_pb2 as backends
from tandemkit.core.clock import SystemClock
from tandemkit.storage.vectors.protocol import (
    Condition,
    Filter,
    Plan,
    Point,
    Query,
    Space,
    VectorStore,
    Within,
)
from tandemkit.storage.vectors.qdrant import QdrantPlace, qdrant_vectors
from tandemkit.storage.vectors.stores import opened
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts_vectors import chroma_server

SPACE = Space("model", "1", 8)
COLLECTION = "namespaces/default/collections/notes"
# The nearest first: what each store has.
KEPT = {"chroma": ["a", "b", "c"], "qdrant": ["b", "d"], "faiss": ["b", "a", "e"]}
_CLOCK = SystemClock()


def vector(angle: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    made = np.zeros(8, dtype=np.float32)
    made[0], made[1] = np.cos(angle), np.sin(angle)
    return made


async def fill(store: VectorStore, ids: Sequence[str]) -> None:
    collection = await store.create("default.notes", Plan(SPACE))
    made = [
        Point(one, vector(0.1 * place), {"place": float(place)}) for place, one in enumerate(ids)
    ]
    await collection.upsert(made, SPACE)


class Real:
    """The three, and the server among them, which can be ended."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.server = folder, AsyncExitStack()
        self._tasks = Tasks()
        self.federation = Federation((), 2.0)

    async def start(self) -> None:
        url = await self.server.enter_async_context(chroma_server())
        chroma = backends.VectorBackend(chroma=backends.VectorChroma(url=url))
        faiss = backends.VectorBackend(faiss=backends.VectorFaiss())
        place = QdrantPlace(folder=self._folder / "qdrant")
        openings: dict[str, Opening] = {
            "chroma": partial(opened, chroma, self._folder),
            "qdrant": partial(qdrant_vectors, place),
            "faiss": partial(opened, faiss, self._folder),
        }
        await self._tasks.__aenter__()
        stores = []
        for name, opening in openings.items():
            async with opening() as store:
                await fill(store, KEPT[name])
            source = OwnSource(name, opening, _CLOCK)
            self._tasks.spawn(name, source.run())
            stores.append(Store(name, 1.0, source, _CLOCK))
        self.federation = Federation(stores, 2.0)

    async def close(self) -> None:
        await self.federation.aclose()
        await self._tasks.__aexit__(None, None, None)
        await self.server.aclose()

    async def search(self, where: Filter = ()) -> tuple[list[Outcome], list[str]]:
        query = Query(vector(0.0), SPACE, 10, where)
        outcomes = await self.federation.search(COLLECTION, query, self.federation.stores, None)
        found = merged(outcomes, [1.0] * len(outcomes), 10)
        return outcomes, [one.hit.id for one in found]


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Real]:
    made = Real(tmp_path)
    await made.start()
    yield made
    await made.close()


async def test_m055_chroma_qdrant_and_faiss_answer_as_one_and_a_dead_one_is_marked(
    real: Real,
) -> None:
    """Merged by rank, filtered in each; without one the others' hits are a partial result."""
    outcomes, ids = await real.search()
    assert [one.state for one in outcomes] == [ANSWERED] * 3
    assert ids == ["b", "a", "d", "c", "e"]
    _, ids = await real.search((Condition("place", Within(least=1.0)),))
    assert sorted(ids) == ["a", "b", "c", "d", "e"]
    _, ids = await real.search((Condition("place", Within(least=2.0)),))
    assert sorted(ids) == ["c", "e"]
    await real.server.aclose()
    outcomes, ids = await real.search()
    assert outcomes[0].state in {FAILED, LATE}
    assert outcomes[0].cause
    assert [one.state for one in outcomes[1:]] == [ANSWERED] * 2
    assert ids == ["b", "d", "a", "e"]
    outcomes, _ = await real.search()
    assert outcomes[0].state == SKIPPED
