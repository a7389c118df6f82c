"""Vectors in memory alone, compared one by one: what other stores are measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tandemkit.storage.vectors import checks
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.matrix import Matrix
from tandemkit.storage.vectors.protocol import (
    PAGE_POINTS_MAX,
    CollectionMissing,
    Filter,
    Hit,
    Plan,
    Point,
    Query,
    Space,
)


class MemoryVectors:
    """`tandemkit.storage.vectors.protocol.VectorStore`; gone with its process."""

    remains = ""

    def __init__(self) -> None:
        self._collections: dict[str, MemoryCollection] = {}

    async def create(self, name: str, plan: Plan) -> MemoryCollection:
        checks.check_name(name)
        checks.check_plan(plan)
        found = self._collections.setdefault(name, MemoryCollection(name, plan))
        checks.check_same(name, plan, found.plan)
        return found

    async def open(self, name: str) -> MemoryCollection:
        checks.check_name(name)
        found = self._collections.get(name)
        if found is None:
            raise CollectionMissing(name)
        return found

    async def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._collections))

    async def drop(self, name: str) -> bool:
        found = self._collections.pop(name, None)
        if found is not None:
            found.is_dropped = True
        return found is not None

    async def check(self) -> None:
        """It is always there."""


class MemoryCollection:
    """`tandemkit.storage.vectors.protocol.Collection`."""

    is_dropped = False

    def __init__(self, name: str, plan: Plan) -> None:
        self.name, self.plan = name, plan
        self._matrix = Matrix(plan.space.dimension, plan.metric)
        self._points: dict[str, tuple[int, Point]] = {}
        self._ids: dict[int, str] = {}
        self._last = 0

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        self._check_there()
        checks.check_space(self.plan.space, space)
        checks.check_points(points, self.plan)
        self._forget([point.id for point in points])
        for point in points:
            self._last += 1
            kept = Point(point.id, point.values.copy(), dict(point.labels))
            self._points[point.id] = (self._last, kept)
            self._ids[self._last] = point.id
        numbers = np.arange(self._last - len(points) + 1, self._last + 1)
        self._matrix.add(numbers, np.stack([point.values for point in points]))

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        self._check_there()
        checks.check_delete(ids, where)
        return self._forget(ids if where is None else self._fulfilling(where))

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        self._check_there()
        checks.check_ids(ids)
        return tuple(self._points[one][1] for one in ids if one in self._points)

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        self._check_there()
        checks.check_page(limit)
        checks.check_filter(where)
        # Code points sort as UTF-8 does.
        ids = sorted(one for one in self._fulfilling(where) if one > after)
        return tuple(self._points[one][1] for one in ids[:limit])

    async def search(self, query: Query) -> tuple[Hit, ...]:
        self._check_there()
        checks.check_query(query, self.plan)
        among = None
        if query.where:
            numbers = [self._points[one][0] for one in self._fulfilling(query.where)]
            among = np.array(sorted(numbers), np.int64)
        best = self._matrix.best(query.values, query.k, among)
        hits = ((self._ids[number], score) for number, score in best)
        return tuple(Hit(one, score, self._points[one][1].labels) for one, score in hits)

    async def count(self, where: Filter = ()) -> int:
        self._check_there()
        checks.check_filter(where)
        return len(self._fulfilling(where))

    def _fulfilling(self, where: Filter) -> list[str]:
        return [one for one, (_, point) in self._points.items() if fulfils(point.labels, where)]

    def _forget(self, ids: Sequence[str]) -> int:
        gone = sorted(self._points.pop(one)[0] for one in {*ids} if one in self._points)
        for number in gone:
            del self._ids[number]
        self._matrix.remove(np.array(gone, np.int64))
        return len(gone)

    def _check_there(self) -> None:
        if self.is_dropped:
            raise CollectionMissing(self.name)
