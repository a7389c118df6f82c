"""A search of several stores of vectors: side by side, as the federation asks, beside one behind
the other. Stores in processes of their own at the end of a line with a round trip like a network's;
and stores in this process, which share its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from services.memory.vector_federation.agent import AgentSource
from services.memory.vector_federation.asking import ANSWERED, Outcome, Store
from services.memory.vector_federation.federation import Federation, merged
from services.memory.vector_federation.source import OwnSource
from tandem.memory.config.v1 import vector_backend_pb2 as backends
from tandemkit.core.clock import SystemClock
from tandemkit.storage.vectors.protocol import Index, Plan, Point, Query, Space
from tandemkit.storage.vectors.stores import opened
from tandemkit.supervise.tasks import Tasks
from tests.bench._far_stores import COLLECTION, DIMENSION, SPACE, far_stores

_CLOCK = SystemClock()
_SPACE = Space(SPACE.model, SPACE.version, DIMENSION)
_WAIT_S = 10.0
_HITS = 10
Vectors = NDArray[np.float32]
Search = Callable[[Query], Awaitable[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True)
class Row:
    """Searches of all stores, in milliseconds."""

    what: str
    stores: int
    together_p50_ms: float
    together_p99_ms: float
    in_turn_p50_ms: float
    in_turn_p99_ms: float
    times_faster: float


def vectors(seed: int, count: int) -> Vectors:
    made = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


async def compared(what: str, stores: Sequence[Store], rounds: int) -> Row:
    """Both ways by turns, so that noise meets both."""
    federation = Federation(stores, _WAIT_S)

    async def together(query: Query) -> Sequence[Outcome]:
        return await federation.search(COLLECTION, query, stores, None)

    async def in_turn(query: Query) -> Sequence[Outcome]:
        return [await one.ask(COLLECTION, query, _WAIT_S) for one in stores]

    took_ms: dict[Search, list[float]] = {together: [], in_turn: []}
    for number, values in enumerate(vectors(99, rounds + 5)):
        query = Query(values, _SPACE, _HITS)
        found = [await _timed(search, query, took_ms[search]) for search in (together, in_turn)]
        if found[0] != found[1]:
            raise RuntimeError("both ways are to find the same")
        if number < 5:
            for figures in took_ms.values():
                figures.clear()
    await federation.aclose()
    mine, other = took_ms[together], took_ms[in_turn]
    ratio = statistics.median(other) / statistics.median(mine)
    figures_ms = (_p50(mine), _p99(mine), _p50(other), _p99(other))
    return Row(what, len(stores), *figures_ms, round(ratio, 2))


async def _timed(search: Search, query: Query, took_ms: list[float]) -> list[str]:
    began_s = _CLOCK.monotonic_s()
    outcomes = await search(query)
    found = merged(outcomes, [1.0] * len(outcomes), _HITS)
    took_ms.append((_CLOCK.monotonic_s() - began_s) * 1e3)
    if any(one.state != ANSWERED for one in outcomes):
        raise RuntimeError(f"a store did not answer: {outcomes}")
    return [one.hit.id for one in found]


def _p50(took_ms: Sequence[float]) -> float:
    return round(statistics.median(took_ms), 2)


def _p99(took_ms: Sequence[float]) -> float:
    return round(statistics.quantiles(took_ms, n=100)[98], 2)


async def far(folder: Path, said: argparse.Namespace) -> AsyncIterator[Row]:
    async with far_stores(
        folder, said.stores, lambda number: vectors(number, said.points)
    ) as found:
        stores = [
            Store(str(number), 1.0, AgentSource(stub, ""), _CLOCK)
            for number, stub in enumerate(found.stubs)
        ]
        for round_trip_ms in said.round_trips_ms:
            found.move(round_trip_ms / 1e3)
            yield await compared(f"round trip of {round_trip_ms} ms", stores, said.rounds)


@asynccontextmanager
async def near(folder: Path, count: int, points: int) -> AsyncIterator[list[Store]]:
    """FAISS in this process, comparing every vector."""
    chosen = backends.VectorBackend(faiss=backends.VectorFaiss())
    stores = []
    async with AsyncExitStack() as stack, Tasks() as tasks:
        for number in range(count):
            home = folder / f"near-{number}"
            await asyncio.to_thread(home.mkdir)
            async with opened(chosen, home) as store:
                plan = Plan(_SPACE, index=Index.FLAT)
                collection = await store.create("default.notes", plan)
                for at in range(0, points, 1000):
                    made = vectors(number, points)[at : at + 1000]
                    await collection.upsert(
                        [Point(f"p{at + place}", one) for place, one in enumerate(made)], _SPACE
                    )
            source = OwnSource("faiss", partial(opened, chosen, home), _CLOCK)
            tasks.spawn(f"near-{number}", source.run())
            stores.append(Store(str(number), 1.0, source, _CLOCK))
        stack.push_async_callback(tasks.end)
        yield stores


async def measured(said: argparse.Namespace) -> AsyncIterator[Row]:
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        async for row in far(Path(folder), said):
            yield row
        async with near(Path(folder), said.stores, said.points_near) as stores:
            what = f"FAISS in this process, {said.points_near} vectors each"
            yield await compared(what, stores, said.rounds)


async def run(said: argparse.Namespace) -> None:
    """Tells each row as soon as it is known, as JSON all of them at the end."""
    cores, rows = len(os.sched_getaffinity(0)), []
    if not said.json:
        sys.stdout.write(f"{said.stores} stores, {cores} cores\n")
    async for row in measured(said):
        rows.append(asdict(row))
        if not said.json:
            sys.stdout.write(
                f"{row.what:44} together {row.together_p50_ms:7.2f} ms, p99"
                f" {row.together_p99_ms:7.2f}; in turn {row.in_turn_p50_ms:7.2f} ms, p99"
                f" {row.in_turn_p99_ms:7.2f}; {row.times_faster:5.2f} times as fast\n"
            )
            sys.stdout.flush()
    if said.json:
        sys.stdout.write(json.dumps({"bench": "federation", "cores": cores, "rows": rows}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=5, help="(default 5)")
    parser.add_argument("--points", type=int, default=2000, help="in each far one (default 2000)")
    parser.add_argument(
        "--points-near", type=int, default=20_000, help="in each near one (default 20000)"
    )
    parser.add_argument("--rounds", type=int, default=200, help="(default 200)")
    parser.add_argument(
        "--round-trips-ms",
        type=float,
        nargs="+",
        default=[2.0, 5.0, 10.0, 20.0, 40.0],
        help="(default 2 5 10 20 40)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
