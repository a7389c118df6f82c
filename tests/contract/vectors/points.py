"""What the suite of vectors is told about a backend, and the points that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pytest

from tandemkit.storage.vectors.protocol import (
    POINTS_MAX,
    Collection,
    Filter,
    Index,
    Label,
    Metric,
    Plan,
    Point,
    Query,
    Space,
    Values,
    VectorStore,
)

DIMENSION = 16
SPACE = Space("hashing", "1", DIMENSION)
RECALL_MIN = 0.9


class Case(Protocol):
    """One backend under test, empty at first. The fixture `case` yields it, and closes what it
    opened. `indexes` are the ways to search of which the backend has more than one.
    """

    @property
    def is_kept(self) -> bool: ...

    @property
    def indexes(self) -> tuple[Index, ...]: ...

    @property
    def many(self) -> int:
        """Points that it can be asked to keep in a second or two."""

    async def open(self) -> VectorStore: ...

    async def reopen(self) -> VectorStore:
        """A client of what is kept, when every earlier one is gone."""

    async def settled(self) -> None:
        """Returns when every collection that was searched has its index."""


def plan(metric: Metric = Metric.COSINE, space: Space = SPACE, index: Index = Index.AUTO) -> Plan:
    return Plan(space, metric, index)


def vector(*numbers: float, dimension: int = DIMENSION) -> Values:
    values = np.zeros(dimension, np.float32)
    values[: len(numbers)] = numbers
    return values


def point(one: str, *numbers: float, **labels: Label) -> Point:
    return Point(one, vector(*numbers), labels)


def clustered(
    number: int, dimension: int = DIMENSION, seed: int = 7, space: Space | None = None
) -> list[Point]:
    """Around centres, as texts are: neighbours are neither far nor all alike."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(number // 40, 1), dimension))
    near = centres[random.integers(len(centres), size=number)]
    rows = (near + 0.4 * random.normal(size=near.shape)).astype(np.float32)
    return [
        Point(f"p{at}", row, {"part": (f"part{at % 10}",), "at": float(at)})
        for at, row in enumerate(rows)
    ]


async def filled(target: Collection, points: Sequence[Point]) -> Collection:
    for at in range(0, len(points), POINTS_MAX):
        await target.upsert(points[at : at + POINTS_MAX], target.plan.space)
    return target


async def found(target: Collection, values: Values, k: int, where: Filter = ()) -> list[str]:
    hits = await target.search(Query(values, target.plan.space, k, where))
    return [hit.id for hit in hits]


def near(score: float) -> object:
    return pytest.approx(score, abs=1e-4)


def plain(labels: Mapping[str, Label]) -> dict[str, object]:
    return {key: {*one} if isinstance(one, tuple) else one for key, one in labels.items()}
