"""Vectors for the benchmark, and the stores that it compares: each runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from tandemkit.storage.vectors.files import file_vectors
from tandemkit.storage.vectors.matrix import Numbers, Rows
from tandemkit.storage.vectors.protocol import Condition, Filter, OneOf, Plan, Point, Query, Space
from tests.bench._usage import resident_mb

DIMENSION, K, CHUNK = 384, 10, 1000
# As texts lie: around topics that overlap, in far fewer directions than they have numbers.
_TOPICS, _DIRECTIONS, _NOISE = 500, 24, 0.05
_SPACE = Space("bench", "1", DIMENSION)
# Every tenth vector and every hundredth.
FILTERS = {"unfiltered": 1, "filtered_10": 10, "filtered_1": 100}

Search = Callable[[Rows, int], Awaitable[list[int]]]


@dataclass(frozen=True)
class Built:
    """A store with everything in it."""

    search: Search
    seconds: float
    reopen_s: float = 0.0
    building_mb: int = 0


def chunks(vectors: int, seed: int = 0) -> Iterator[tuple[Numbers, Rows]]:
    """The same whoever asks: number and vector, a chunk at a time."""
    world = np.random.default_rng(7)
    topics = world.normal(size=(_TOPICS, _DIRECTIONS))
    plane = world.normal(size=(_DIRECTIONS, DIMENSION))
    random = np.random.default_rng(100 + seed)
    for start in range(0, vectors, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, vectors))
        near = topics[random.integers(_TOPICS, size=len(numbers))]
        rows = (near + random.normal(size=near.shape)) @ plane
        rows += _NOISE * random.normal(size=rows.shape) * np.linalg.norm(plane)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        yield numbers, rows.astype(np.float32)


def queries(number: int) -> Rows:
    return np.concatenate([rows for _, rows in chunks(number, seed=1)])[:number]


def truth(vectors: int, asked: Rows) -> dict[str, list[list[int]]]:
    """By comparing all: the best of each query, behind each filter."""
    best = {name: [np.empty((len(asked), 0))] * 2 for name in FILTERS}
    for numbers, rows in chunks(vectors):
        scores = asked @ rows.T
        for name, step in FILTERS.items():
            chosen = numbers % step == 0
            told = np.concatenate([best[name][0], scores[:, chosen]], axis=1)
            named = np.broadcast_to(numbers[chosen], (len(asked), int(chosen.sum())))
            ids = np.concatenate([best[name][1], named], axis=1)
            order = np.argsort(-told, axis=1)[:, :K]
            best[name] = [np.take_along_axis(one, order, axis=1) for one in (told, ids)]
    return {name: ids.astype(int).tolist() for name, (_, ids) in best.items()}


async def fill(path: Path, vectors: int) -> None:
    """As whoever keeps vectors: a thousand a call, with labels; says how long it took."""
    started_s = time.perf_counter()
    async with file_vectors(path) as store:
        collection = await store.create("bench", Plan(_SPACE))
        for numbers, rows in chunks(vectors):
            told = zip(numbers.tolist(), rows, strict=True)
            await collection.upsert([_point(one, row) for one, row in told], _SPACE)
        await collection.search(Query(rows[0], _SPACE, 1))
        await store.keeping.built()
    seconds = time.perf_counter() - started_s
    print(json.dumps({"seconds": seconds, "rss_mb": round(resident_mb("self"))}))


@asynccontextmanager
async def files(vectors: int) -> AsyncIterator[Built]:
    """What Tandem does without a word of configuration: on disk, and opened again to be asked."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / "vectors.sqlite"
        argv = (sys.executable, __file__, "fill", str(path), str(vectors))
        filled = json.loads(await asyncio.to_thread(subprocess.check_output, argv))
        opened_s = time.perf_counter()
        async with file_vectors(path) as store:
            collection = await store.open("bench")
            await collection.search(Query(queries(1)[0], _SPACE, 1))
            reopen_s = time.perf_counter() - opened_s

            async def search(values: Rows, step: int) -> list[int]:
                where: Filter = ()
                if step > 1:
                    where = (Condition(f"by{step}", OneOf(("0",))),)
                hits = await collection.search(Query(values, _SPACE, K, where))
                return [int(hit.id) for hit in hits]

            yield Built(search, filled["seconds"], reopen_s, filled["rss_mb"])


def _point(number: int, row: Rows) -> Point:
    labels = {f"by{step}": (str(number % step),) for step in FILTERS.values() if step > 1}
    return Point(str(number), row, labels)


@asynccontextmanager
async def faiss_flat(vectors: int) -> AsyncIterator[Built]:
    """In memory, without ids and labels: what passes a filter is known before it is asked."""
    yield _faiss(vectors, faiss.IndexFlatIP(DIMENSION), faiss.SearchParameters)


@asynccontextmanager
async def faiss_hnsw(vectors: int) -> AsyncIterator[Built]:
    index = faiss.IndexHNSWFlat(DIMENSION, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80

    def limits(sel: Any) -> Any:
        return faiss.SearchParametersHNSW(sel=sel, efSearch=64)

    yield _faiss(vectors, index, limits)


def _faiss(vectors: int, index: Any, limits: Any) -> Built:
    faiss.omp_set_num_threads(1)
    started_s = time.perf_counter()
    for _, rows in chunks(vectors):
        index.add(rows)
    seconds = time.perf_counter() - started_s
    selected = {
        step: faiss.IDSelectorBatch(np.arange(0, vectors, step)) if step > 1 else None
        for step in FILTERS.values()
    }

    async def search(values: Rows, step: int) -> list[int]:
        _, found = index.search(values[np.newaxis], K, params=limits(sel=selected[step]))
        told: list[int] = found[0].tolist()
        return told

    return Built(search, seconds)


CONTENDERS = {"files": files, "faiss flat": faiss_flat, "faiss HNSW": faiss_hnsw}


async def measure(name: str, vectors: int, number: int) -> dict[str, Any]:
    asked, told = queries(number), json.loads(sys.stdin.read())
    async with CONTENDERS[name](vectors) as built:
        found: dict[str, Any] = {"store": name, "build_s": round(built.seconds, 1)}
        if built.reopen_s:
            found |= {"reopen_s": round(built.reopen_s, 2), "building_mb": built.building_mb}
        for filtered, step in FILTERS.items():
            await built.search(asked[0], step)
            took_ms, hits = [], 0
            for values, expected in zip(asked, told[filtered], strict=True):
                started_s = time.perf_counter()
                best = await built.search(values, step)
                took_ms.append((time.perf_counter() - started_s) * 1e3)
                hits += len({*best} & {*expected})
            p50, p99 = np.percentile(took_ms, [50, 99]).tolist()
            found[filtered] = {
                "p50_ms": round(p50, 2),
                "p99_ms": round(p99, 2),
                "recall": round(hits / K / number, 3),
            }
        found["rss_mb"] = round(resident_mb("self"))
        return found


if __name__ == "__main__":
    with threadpool_limits(1):
        if sys.argv[1] == "fill":
            asyncio.run(fill(Path(sys.argv[2]), int(sys.argv[3])))
            sys.exit()
        print(json.dumps(asyncio.run(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
