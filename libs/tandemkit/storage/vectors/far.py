"""What is done here for a server that cannot: by reading all, or all ids."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import numpy as np

from tandemkit.storage.vectors.matrix import Rows, prepared, scores_of
from tandemkit.storage.vectors.protocol import Hit, Label, Plan, Point, Query


async def exact_hits(
    parts: AsyncIterator[list[Point]], plan: Plan, query: Query
) -> tuple[Hit, ...]:
    """The best of all that `parts` has, each compared."""
    vector: Rows = prepared(query.values[np.newaxis], plan.metric)[0]
    best: list[tuple[float, str, Mapping[str, Label]]] = []
    async for points in parts:
        rows = prepared(np.stack([point.values for point in points]), plan.metric)
        scores = scores_of(rows, vector, plan.metric).tolist()
        told = [(s, point.id, point.labels) for s, point in zip(scores, points, strict=True)]
        best = heapq.nlargest(query.k, [*best, *told], key=lambda one: one[0])
    return tuple(Hit(one, score, labels) for score, one, labels in best)


async def first_ids(parts: AsyncIterator[list[str]], after: str, limit: int) -> list[str]:
    """A page of all that `parts` has, of a server that lists in an order of its own."""
    first: list[str] = []
    async for part in parts:
        first = heapq.nsmallest(limit, [*first, *(one for one in part if one > after)])
    return first


def in_order(points: Iterable[Point], ids: Sequence[str]) -> tuple[Point, ...]:
    """Those that are there, as they were asked for."""
    by_id = {point.id: point for point in points}
    return tuple(by_id[one] for one in ids if one in by_id)
