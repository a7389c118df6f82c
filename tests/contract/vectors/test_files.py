"""Vectors in files, with either maker's indexes, held to the suite and to what files add."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.core.lock import InUse
from tandemkit.storage.vectors.files import FileVectors, file_vectors
from tandemkit.storage.vectors.protocol import (
    Condition,
    Full,
    Index,
    Metric,
    OneOf,
    Point,
    Query,
    VectorStore,
)
from tandemkit.storage.vectors.shelf import Maker
from tests.contract.vectors.points import (
    SPACE,
    Case,
    clustered,
    filled,
    found,
    plan,
    point,
    vector,
)
from tests.contract.vectors.suite import VectorSuite


class _Files:
    is_kept = True
    indexes = tuple(Index)
    many = 3000

    def __init__(self, path: Path, maker: Maker) -> None:
        self._path, self._maker = path, maker
        self._stack = AsyncExitStack()
        self._store: FileVectors | None = None

    async def open(self) -> VectorStore:
        if self._store is None:
            opening = file_vectors(self._path, self._maker)
            self._store = await self._stack.enter_async_context(opening)
        return self._store

    async def reopen(self) -> VectorStore:
        await self.close()
        return await self.open()

    async def settled(self) -> None:
        assert self._store is not None
        await self._store.keeping.built()

    async def close(self) -> None:
        self._store = None
        await self._stack.aclose()


class TestEmbedded(VectorSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        files = _Files(tmp_path / "vectors.sqlite", Maker.EMBEDDED)
        yield files
        await files.close()


class TestFaiss(VectorSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        files = _Files(tmp_path / "vectors.sqlite", Maker.FAISS)
        yield files
        await files.close()


INDEX = "vectors.sqlite.index-1"


@pytest.fixture(params=Maker)
def maker(request: pytest.FixtureRequest) -> Maker:
    return Maker(request.param)


async def test_an_index_waits_in_a_file_for_the_next_start(tmp_path: Path, maker: Maker) -> None:
    """It is read and brought up to what was written since, not built again."""
    path, points = tmp_path / "vectors.sqlite", clustered(1500)
    async with file_vectors(path, maker) as store:
        target = await filled(await store.create("one", plan(index=Index.HNSW)), points)
        await found(target, vector(1.0), 1)
        await store.keeping.built()
    assert (tmp_path / INDEX).exists()
    async with file_vectors(path, maker) as store:
        target = await store.open("one")
        await target.upsert([point("new", 1.0)], SPACE)
        assert await found(target, vector(1.0), 1) == ["new"]
        held = await store.keeping.held("one", 1, target.plan)
        assert held.engine is not None
        assert not held.is_building
        assert len(held.engine) == 1501


@pytest.mark.parametrize("harm", [b"", b"no index", None])
async def test_an_index_that_does_not_match_is_built_again(
    tmp_path: Path, maker: Maker, harm: bytes | None
) -> None:
    """Cut short, or another life's: what stands in SQLite is true."""
    path, points = tmp_path / "vectors.sqlite", clustered(1500)
    async with file_vectors(path, maker) as store:
        target = await filled(await store.create("one", plan(index=Index.HNSW)), points)
        await found(target, vector(1.0), 1)
        await store.keeping.built()
    index = tmp_path / INDEX
    index.write_bytes(index.read_bytes()[:-1] if harm is None else harm)
    async with file_vectors(path, maker) as store:
        target = await store.open("one")
        for one in points[:5]:
            assert await found(target, one.values, 1) == [one.id]
        await store.keeping.built()
        assert await found(target, points[7].values, 1) == ["p7"]


@pytest.mark.parametrize("metric", Metric)
async def test_few_behind_a_filter_are_found_by_an_index(
    tmp_path: Path, maker: Maker, metric: Metric
) -> None:
    """Whichever metric it has, and though it rounds: those that comparing all finds."""
    points = clustered(2500)
    where = (Condition("part", OneOf(("part3",))),)
    async with file_vectors(tmp_path / "vectors.sqlite", maker) as store:
        made = await store.create("one", plan(metric, index=Index.HNSW))
        target = await filled(made, points)
        await found(target, vector(1.0), 1)
        await store.keeping.built()
        hits = 0
        for one in clustered(20, seed=8):
            asked = Query(one.values, SPACE, 10, where)
            told = await target.search(asked)
            expected = await target.search(replace(asked, exact=True))
            hits += len({hit.id for hit in told} & {hit.id for hit in expected})
        assert hits >= 190


async def test_an_index_of_the_other_maker_is_built_again(tmp_path: Path) -> None:
    """Whoever changes the setting finds all that is there."""
    path, points = tmp_path / "vectors.sqlite", clustered(1500)
    for maker in (Maker.EMBEDDED, Maker.FAISS, Maker.EMBEDDED):
        async with file_vectors(path, maker) as store:
            target = await store.create("one", plan(index=Index.HNSW))
            if not await target.count():
                await filled(target, points)
            assert await found(target, points[7].values, 1) == ["p7"]
            await store.keeping.built()
            assert await found(target, points[8].values, 1) == ["p8"]


async def test_what_is_deleted_is_in_no_file(tmp_path: Path, maker: Maker) -> None:
    """Neither its id, nor its labels, nor its numbers, when the deletion is answered."""
    path, points = tmp_path / "vectors.sqlite", clustered(1200)
    values = vector(0.123456, 0.654321)
    async with file_vectors(path, maker) as store:
        target = await filled(await store.create("one", plan(index=Index.IVF)), points)
        await target.upsert([Point("planted-id", values, {"of": ("planted-label",)})], SPACE)
        await found(target, vector(1.0), 1)
        await store.keeping.built()
        assert (tmp_path / INDEX).exists()
        assert await target.delete(where=(Condition("of", OneOf(("planted-label",))),)) == 1
        assert not _containing(tmp_path, b"planted", values.tobytes()[:8])
    async with file_vectors(path, maker) as store:
        target = await store.open("one")
        assert await found(target, values, 1) != ["planted-id"]


def _containing(folder: Path, *pieces: bytes) -> list[str]:
    content = {file.name: file.read_bytes() for file in folder.iterdir()}
    return [name for name, one in content.items() if any(piece in one for piece in pieces)]


async def test_many_deletions_and_rewrites_leave_a_sound_index(
    tmp_path: Path, maker: Maker
) -> None:
    """It is made anew when too much of it is gone, while searches go on."""
    points = clustered(2400)
    async with file_vectors(tmp_path / "vectors.sqlite", maker) as store:
        target = await filled(await store.create("one", plan(index=Index.HNSW)), points)
        await found(target, vector(1.0), 1)
        await store.keeping.built()
        for at in range(0, 1000, 250):
            await target.delete([one.id for one in points[at : at + 250]])
            hits = await found(target, points[at].values, 10)
            assert len(hits) == 10
            assert not {one.id for one in points[: at + 250]} & {*hits}
        await store.keeping.built()
        held = await store.keeping.held("one", 1, target.plan)
        assert held.engine is not None
        assert not held.engine.is_worn
        assert len(held.engine) == 1400
        assert await found(target, points[2000].values, 1) == ["p2000"]


async def test_an_index_beyond_the_memory_is_refused(tmp_path: Path) -> None:
    """With a sentence, and nothing is written; indexes that nobody uses make room for others."""
    limit = 50_000
    async with file_vectors(tmp_path / "vectors.sqlite", bytes_max=limit) as store:
        one, two = [await store.create(name, plan()) for name in ("one", "two")]
        for target in (one, two):
            await filled(target, clustered(500))
            assert len(await found(target, vector(1.0), 3)) == 3
        with pytest.raises(Full):
            await one.upsert([point(f"x{at}", 1.0) for at in range(500)], SPACE)
        assert await one.count() == 500
        assert len(await found(one, vector(1.0), 3)) == 3


async def test_files_have_one_owner(tmp_path: Path) -> None:
    """A second process is told so at once."""
    path = tmp_path / "vectors.sqlite"
    async with file_vectors(path):
        with pytest.raises(InUse):
            async with file_vectors(path):
                pass
