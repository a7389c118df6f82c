"""FAISS: every vector compared, a graph of neighbours, or lists around centres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tandemkit.storage.vectors.engines import HOLES_SHARE_MAX, SPARE, one_row
from tandemkit.storage.vectors.matrix import Numbers, Rows, prepared
from tandemkit.storage.vectors.protocol import Index, Metric, Values

_LINKS = 32
_LOOK_BUILDING, _LOOK_SEARCHING, _LOOK_MAX = 80, 64, 4096
_TRAINED_PER_LIST = 64
_LISTS_MAX, _LISTS_LOOKED_MIN = 4096, 12
# With fewer to learn a centre from FAISS complains.
_ROWS_PER_LIST = 40
# Lists whose centres were found for so many fewer vectors fit them no more.
_GROWTH_MAX = 4
# A search has a thread to itself; what runs beside it is the host's to say.
faiss.omp_set_num_threads(1)


class FaissEngine:
    """`tandemkit.storage.vectors.engines.Engine`. FAISS has no deletion that a graph could take,
    so what was removed is passed over until the index is made anew.
    """

    def __init__(self, dimension: int, metric: Metric, kind: Index, expected: int) -> None:
        """For about so many vectors."""
        self._metric, self._kind = metric, kind
        self.is_exact = kind is Index.FLAT
        self._dimension = dimension
        self._index: Any = None
        self._removed = np.empty(0, np.int64)
        self._passed: Any = None
        self._made_for = expected

    @classmethod
    def saved(cls, path: Path, metric: Metric, kind: Index) -> FaissEngine:
        index = faiss.read_index(str(path))
        engine = cls(index.d, metric, kind, index.ntotal)
        engine._index = index
        return engine

    @property
    def is_worn(self) -> bool:
        grown = self._kind is Index.IVF and self._total > _GROWTH_MAX * self._made_for
        return grown or len(self._removed) > HOLES_SHARE_MAX * self._total

    @property
    def has_holes(self) -> bool:
        return len(self._removed) > 0

    @property
    def numbers(self) -> Numbers:
        if self._index is None:
            return np.empty(0, np.int64)
        held = np.sort(faiss.vector_to_array(self._index.id_map))
        return np.setdiff1d(held, self._removed, assume_unique=True)

    @property
    def _total(self) -> int:
        return 0 if self._index is None else int(self._index.ntotal)

    def __len__(self) -> int:
        return self._total - len(self._removed)

    def add(self, numbers: Numbers, rows: Rows) -> None:
        """The first ones decide where the centres of lists are."""
        rows = np.ascontiguousarray(prepared(rows, self._metric))
        if self._index is None:
            self._index = faiss.IndexIDMap2(self._made(rows))
        self._index.add_with_ids(rows, numbers)

    def remove(self, numbers: Numbers) -> None:
        there = np.intersect1d(numbers, self.numbers, assume_unique=True)
        if len(there):
            self._removed = np.union1d(self._removed, there)
            self._passed = faiss.IDSelectorNot(faiss.IDSelectorBatch(self._removed))

    def candidates(self, values: Values, k: int, among: Numbers | None) -> Numbers:
        if self._index is None or (among is not None and not len(among)):
            return np.empty(0, np.int64)
        spare = k if self.is_exact else k * SPARE
        row = one_row(values, self._metric)
        spread = 1 if among is None else max(self._total // len(among), 1)
        limits = self._limits(self._selected(among), spread)
        _, found = self._index.search(row, min(spare, self._total), params=limits)
        near: Numbers = found[0]
        return near[near >= 0]

    def save(self, path: Path) -> None:
        if self._index is not None:
            faiss.write_index(self._index, str(path))

    def _selected(self, among: Numbers | None) -> Any:
        if among is None:
            return self._passed
        return faiss.IDSelectorBatch(np.setdiff1d(among, self._removed, assume_unique=True))

    def _limits(self, selected: Any, spread: int) -> Any:
        """A graph finds those who are one of `spread` only if it looks at so many more."""
        match self._kind:
            case Index.FLAT:
                return faiss.SearchParameters(sel=selected)
            case Index.IVF:
                lists = faiss.downcast_index(self._index.index).nlist
                return faiss.SearchParametersIVF(
                    sel=selected, nprobe=max(_LISTS_LOOKED_MIN, lists // 10)
                )
            case _:
                look = min(_LOOK_SEARCHING * spread, _LOOK_MAX)
                return faiss.SearchParametersHNSW(sel=selected, efSearch=look)

    def _made(self, rows: Rows) -> Any:
        kind = faiss.METRIC_L2 if self._metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
        if self._kind is Index.FLAT:
            return faiss.IndexFlat(self._dimension, kind)
        if self._kind is Index.IVF:
            lists = min(int(4 * self._made_for**0.5), len(rows) // _ROWS_PER_LIST, _LISTS_MAX) or 1
            index = faiss.IndexIVFFlat(
                faiss.IndexFlat(self._dimension, kind), self._dimension, lists, kind
            )
            step = max(len(rows) // (lists * _TRAINED_PER_LIST), 1)
            index.train(np.ascontiguousarray(rows[::step]))
            return index
        index = faiss.IndexHNSWFlat(self._dimension, _LINKS, kind)
        index.hnsw.efConstruction = _LOOK_BUILDING
        return index
