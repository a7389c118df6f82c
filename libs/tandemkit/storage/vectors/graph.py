"""A graph of neighbours by usearch, at a byte for each number of a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from usearch.index import Index as Graph

from tandemkit.storage.vectors.engines import HOLES_SHARE_MAX, SPARE, one_row, wanted
from tandemkit.storage.vectors.matrix import Numbers, Rows, prepared, scores_of
from tandemkit.storage.vectors.protocol import Metric, Values

_LINKS = 16
_LOOK_BUILDING, _LOOK_SEARCHING = 128, 160
# So few are compared as fast as the graph is asked about them.
_FEW, _BYTE_MAX = 1500, 127
# One byte holds what lies between -1 and 1.
_KINDS = {Metric.COSINE: ("ip", "i8"), Metric.DOT: ("ip", "bf16"), Metric.L2: ("l2sq", "bf16")}


class GraphEngine:
    """`tandemkit.storage.vectors.engines.Engine`."""

    is_exact = False

    def __init__(self, dimension: int, metric: Metric, path: Path | None = None) -> None:
        """As saved in `path`."""
        kind, dtype = _KINDS[metric]
        self._metric = metric
        made: object = Graph(
            ndim=dimension,
            metric=kind,
            dtype=dtype,
            connectivity=_LINKS,
            expansion_add=_LOOK_BUILDING,
            expansion_search=_LOOK_SEARCHING,
        )
        self._graph = cast("Any", made)
        if path is not None:
            self._graph.load(path)
            self._graph.expansion_search = _LOOK_SEARCHING
        self._is_byte = dtype == "i8"
        self._holes = 0

    @property
    def is_worn(self) -> bool:
        return self._holes > HOLES_SHARE_MAX * (len(self) + self._holes)

    @property
    def has_holes(self) -> bool:
        return self._holes > 0

    @property
    def numbers(self) -> Numbers:
        return np.sort(self._graph.keys[: len(self)].astype(np.int64))

    def __len__(self) -> int:
        return len(self._graph)

    def add(self, numbers: Numbers, rows: Rows) -> None:
        self._graph.add(numbers, prepared(rows, self._metric), threads=1)

    def remove(self, numbers: Numbers) -> None:
        for number in numbers.tolist():
            self._holes += int(self._graph.remove(number))

    def candidates(self, values: Values, k: int, among: Numbers | None) -> Numbers:
        if not len(self):
            return np.empty(0, np.int64)
        row = one_row(values, self._metric)[0]
        if among is not None and len(among) <= _FEW:
            return self._compared(row, k, among)
        found = self._graph.search(row, wanted(k, len(self), among), threads=1)
        near: Numbers = found.keys.astype(np.int64)
        return near if among is None else near[np.isin(near, among)]

    def _compared(self, row: Rows, k: int, among: Numbers) -> Numbers:
        """All of them, as the graph has them: rounded, so that some more are named."""
        told = self._graph.get(among, self._graph.dtype if self._is_byte else "f32")
        there = [at for at, one in enumerate(told) if one is not None]
        rows = np.array([told[at] for at in there], np.float32).reshape(len(there), len(row))
        if self._is_byte:
            rows /= _BYTE_MAX
        many = min(SPARE * k, len(there))
        scores = scores_of(rows, row, self._metric)
        best = np.argpartition(-scores, many - 1)[:many] if many else np.arange(0)
        near: Numbers = among[there][best]
        return near

    def save(self, path: Path) -> None:
        self._graph.save(path)
