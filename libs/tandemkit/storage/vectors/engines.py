"""How a collection in files is searched. What stands in SQLite is true; an engine names candidates,
and is made of it anew whenever it is not whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from tandemkit.storage.vectors.matrix import Matrix, Numbers, Rows, prepared
from tandemkit.storage.vectors.protocol import Metric, Values

# An engine that misses so many of those that it was made with, or has grown so much, is made anew.
HOLES_SHARE_MAX = 0.25
# More than are asked for: what was rounded is put into its order afterwards.
SPARE, _SPARE_FILTERED = 4, 3


class Engine(Protocol):
    """Used by one thread at a time."""

    @property
    def is_exact(self) -> bool: ...

    @property
    def is_worn(self) -> bool:
        """Whether it should be made anew."""

    @property
    def has_holes(self) -> bool:
        """Whether it still contains vectors that were removed."""

    @property
    def numbers(self) -> Numbers:
        """Of what can be found, rising."""

    def __len__(self) -> int: ...

    def add(self, numbers: Numbers, rows: Rows) -> None:
        """Numbers that it never had."""

    def remove(self, numbers: Numbers) -> None:
        """Those that are not there do not matter."""

    def candidates(self, values: Values, k: int, among: Numbers | None) -> Numbers:
        """Who is most like `values`: `k` if it is exact, else some more."""

    def save(self, path: Path) -> None: ...


class ExactEngine:
    """A matrix. It is read from SQLite as fast as from a file of its own, so it is never saved."""

    is_exact = True
    is_worn = False
    has_holes = False

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._matrix = Matrix(dimension, metric)

    @property
    def numbers(self) -> Numbers:
        return self._matrix.numbers

    def __len__(self) -> int:
        return len(self._matrix)

    def add(self, numbers: Numbers, rows: Rows) -> None:
        self._matrix.add(numbers, rows)

    def remove(self, numbers: Numbers) -> None:
        self._matrix.remove(numbers)

    def candidates(self, values: Values, k: int, among: Numbers | None) -> Numbers:
        return np.array([number for number, _ in self._matrix.best(values, k, among)], np.int64)

    def save(self, path: Path) -> None:
        """Nothing to keep."""


def wanted(k: int, held: int, among: Numbers | None) -> int:
    """How many to look at so that enough of them are among those; fewer show that it was not."""
    if among is None or not len(among):
        return min(held, SPARE * k)
    return min(held, max(SPARE * k, int(_SPARE_FILTERED * k * held / len(among))))


def one_row(values: Values, metric: Metric) -> Rows:
    return prepared(values[np.newaxis], metric)
