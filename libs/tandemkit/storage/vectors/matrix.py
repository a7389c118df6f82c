"""Vectors in memory, side by side, so that one multiplication compares them all."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tandemkit.storage.vectors.protocol import Metric, Values

Numbers: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.float32]

_ROOM_MIN = 16
# So many rows without a point are worth moving the others.
_HOLES_MIN = 1024


def prepared(rows: Rows, metric: Metric) -> Rows:
    """As they are compared: for the cosine at length 1, in numbers that cannot overflow."""
    if metric is not Metric.COSINE:
        return rows
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    scaled: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def scores_of(rows: Rows, values: Values, metric: Metric) -> NDArray[np.float32]:
    """Of prepared rows against a prepared vector."""
    if metric is Metric.L2:
        distances: NDArray[np.float32] = -np.linalg.norm(rows - values, axis=1)
        return distances
    products: NDArray[np.float32] = rows @ values
    return products


class Matrix:
    """Rows by number. Numbers rise: whoever adds never takes one that was there before."""

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._metric = metric
        self._numbers = np.empty(0, np.int64)
        self._rows = np.empty((0, dimension), np.float32)
        self._alive = np.empty(0, np.bool_)
        self._used = self._holes = 0

    def __len__(self) -> int:
        return self._used - self._holes

    @property
    def numbers(self) -> Numbers:
        return self._numbers[: self._used][self._alive[: self._used]]

    def add(self, numbers: Numbers, values: Rows) -> None:
        end = self._used + len(numbers)
        if end > len(self._numbers):
            self._move(max(end, _ROOM_MIN, len(self._numbers) * 3 // 2))
            end = self._used + len(numbers)
        self._numbers[self._used : end] = numbers
        self._rows[self._used : end] = prepared(values, self._metric)
        self._alive[self._used : end] = True
        self._used = end

    def remove(self, numbers: Numbers) -> None:
        """Those that are not there do not matter."""
        places = self._places(numbers)
        self._alive[places] = False
        self._rows[places] = 0.0
        self._holes += len(places)
        if self._holes > max(_HOLES_MIN, self._used // 4):
            self._move(max(len(self), _ROOM_MIN))

    def rows(self, numbers: Numbers) -> tuple[Numbers, Rows]:
        """Those that are there, as they are compared."""
        places = self._places(numbers)
        return self._numbers[places], self._rows[places]

    def best(self, values: Values, k: int, among: Numbers | None = None) -> list[tuple[int, float]]:
        """Number and score of the `k` most alike, the best first."""
        vector = prepared(values[np.newaxis], self._metric)[0]
        places = np.flatnonzero(self._alive[: self._used]) if among is None else None
        if among is not None:
            places = self._places(among)
        assert places is not None
        if len(places) * 3 > self._used:
            # Reading all in their order is faster than picking that many.
            told = self._rough(self._rows[: self._used], vector)[places]
        else:
            told = self._rough(self._rows[places], vector)
        chosen = np.argpartition(-told, k)[:k] if k < len(told) else np.arange(len(told))
        found = places[chosen]
        scores = scores_of(self._rows[found], vector, self._metric)
        order = np.lexsort((self._numbers[found], -scores))
        return [(int(self._numbers[found[i]]), float(scores[i])) for i in order]

    def _rough(self, rows: Rows, vector: Values) -> NDArray[np.float32]:
        """In the order of the scores; for the distance without a copy of all rows."""
        dots: NDArray[np.float32] = rows @ vector
        if self._metric is not Metric.L2:
            return dots
        likeness: NDArray[np.float32] = 2 * dots - np.einsum("ij,ij->i", rows, rows)
        return likeness

    def _places(self, numbers: Numbers) -> NDArray[np.int64]:
        held = self._numbers[: self._used]
        places: NDArray[np.int64] = np.searchsorted(held, numbers)
        known = places < self._used
        places, numbers = places[known], numbers[known]
        there: NDArray[np.bool_] = (held[places] == numbers) & self._alive[places]
        return places[there]

    def _move(self, room: int) -> None:
        alive = np.flatnonzero(self._alive[: self._used])
        numbers = np.zeros(room, np.int64)
        rows = np.zeros((room, self._rows.shape[1]), np.float32)
        numbers[: len(alive)] = self._numbers[alive]
        np.take(self._rows, alive, axis=0, out=rows[: len(alive)])
        self._alive = np.zeros(room, np.bool_)
        self._alive[: len(alive)] = True
        self._numbers, self._rows = numbers, rows
        self._used, self._holes = len(alive), 0
