"""The engines of a store in files: which kind a collection needs, what it costs in memory, and the
file in which it waits for the next start.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from tandemkit.storage.vectors import rows
from tandemkit.storage.vectors.engines import Engine, ExactEngine
from tandemkit.storage.vectors.matrix import Numbers
from tandemkit.storage.vectors.protocol import Filter, Index, Plan

# Up to this much memory comparing all is fast enough, and needs nothing to be built.
EXACT_BYTES_MAX = 32 * 1024 * 1024
# Whoever asks for an approximate index gets it from here on: fewer are not worth one.
APPROXIMATE_MIN = 1000
_READ_ROWS = 2000
# What links, numbers and places take beside the vector.
_EXACT_EXTRA, _GRAPH_EXTRA, _FAISS_EXTRA = 9, 260, 320


class Maker(StrEnum):
    """Whose indexes a store uses."""

    EMBEDDED = "embedded"
    FAISS = "faiss"


@dataclass(eq=False)
class Held:
    """A collection of which something is in memory. Whoever uses the engine has its `turn`."""

    number: int
    plan: Plan
    points: int = 0
    engine: Engine | None = None
    is_building: bool = False
    # Since it was saved last.
    changes: int = 0
    # Who fulfilled a filter, as of the last write; a write puts a new one in its place.
    chosen: dict[Filter, Numbers] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)


class Shelf:
    """Where the indexes of one store lie. All of it waits for the disk."""

    def __init__(self, base: Path, maker: Maker) -> None:
        self._base, self._maker = base, maker

    def is_approximate(self, plan: Plan, points: int) -> bool:
        """Whether a collection of that size is searched by something that has to be built."""
        if plan.index is Index.FLAT or points < APPROXIMATE_MIN:
            return False
        return plan.index is not Index.AUTO or 4 * plan.space.dimension * points > EXACT_BYTES_MAX

    def bytes_for(self, plan: Plan, points: int) -> int:
        """About what its engine takes."""
        dimension = plan.space.dimension
        if not self.is_approximate(plan, points):
            return points * (4 * dimension + _EXACT_EXTRA)
        if self._maker is Maker.FAISS:
            return points * (4 * dimension + _FAISS_EXTRA)
        return points * (dimension + _GRAPH_EXTRA)

    def empty(self, plan: Plan, points: int) -> Engine:
        """The engine for a collection of about that size, with nothing in it."""
        dimension, kind = plan.space.dimension, self._kind(plan, points)
        if self._maker is Maker.FAISS:
            # The packages behind are imported by who has use for them.
            from tandemkit.storage.vectors.faiss_engine import FaissEngine

            return FaissEngine(dimension, plan.metric, kind, points)
        if kind is Index.FLAT:
            return ExactEngine(dimension, plan.metric)
        from tandemkit.storage.vectors.graph import GraphEngine

        return GraphEngine(dimension, plan.metric)

    def read(self, database: sqlite3.Connection, held: Held) -> Engine | None:
        """The engine as it has to be now; None where it has to be built first, which takes long."""
        engine: Engine | None
        if self.is_approximate(held.plan, held.points):
            engine = self._saved(database, held)
            if engine is None or not len(engine):
                return None
        else:
            engine = self.empty(held.plan, held.points)
        self.align(database, held, engine)
        return engine

    def align(self, database: sqlite3.Connection, held: Held, engine: Engine) -> None:
        """Makes the engine's points those that are stored."""
        here, stored = engine.numbers, rows.numbers_of(database, held.number)
        gone = np.setdiff1d(here, stored, assume_unique=True)
        if len(gone):
            engine.remove(gone)
        last = int(here[-1]) if len(here) else 0
        missing = np.setdiff1d(stored, here, assume_unique=True)
        for part in _parts(missing[missing <= last], 500):
            engine.add(*rows.vectors_of(database, part))
        while True:
            numbers, values = rows.vectors(database, held.number, last, _READ_ROWS)
            if not len(numbers):
                return
            engine.add(numbers, values)
            last = int(numbers[-1])

    def save(self, held: Held) -> bytes | None:
        """The digest of the file in which the engine lies now; None where it belongs in none: what
        was removed from a collection is in no file.
        """
        engine, held.changes = held.engine, 0
        if engine is None or engine.is_exact or engine.has_holes:
            return None
        path = self._path(held.number)
        fresh = path.with_name(f"{path.name}.new")
        engine.save(fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "blake2b").digest()
        fresh.replace(path)
        return digest

    def forget(self, number: int) -> None:
        """Removes the file, before what it contains is removed from the collection."""
        path = self._path(number)
        for one in (path, path.with_name(f"{path.name}.new")):
            with suppress(FileNotFoundError):
                one.unlink()

    def sweep(self, database: sqlite3.Connection) -> None:
        """Removes the files of collections that are gone, and those that were never finished."""
        known = database.execute("SELECT number FROM collections").fetchall()
        keep = {self._path(number).name for (number,) in known}
        for path in self._base.parent.glob(f"{self._base.name}.index-*"):
            if path.name not in keep:
                path.unlink()

    def _saved(self, database: sqlite3.Connection, held: Held) -> Engine | None:
        query = "SELECT index_digest FROM collections WHERE number = ?"
        row = database.execute(query, (held.number,)).fetchone()
        path = self._path(held.number)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "blake2b").digest()
        except FileNotFoundError:
            return None
        if row is None or row[0] != digest:
            # Of a write that was cut short, or of another life: it would be read as anything.
            self.forget(held.number)
            return None
        try:
            return self._restored(held, path)
        except RuntimeError:
            # Written by another version, or by the other maker.
            self.forget(held.number)
            return None

    def _restored(self, held: Held, path: Path) -> Engine:
        if self._maker is Maker.FAISS:
            from tandemkit.storage.vectors.faiss_engine import FaissEngine

            return FaissEngine.saved(path, held.plan.metric, self._kind(held.plan, held.points))
        from tandemkit.storage.vectors.graph import GraphEngine

        return GraphEngine(held.plan.space.dimension, held.plan.metric, path)

    def _kind(self, plan: Plan, points: int) -> Index:
        if not self.is_approximate(plan, points):
            return Index.FLAT
        return Index.HNSW if plan.index is Index.AUTO else plan.index

    def _path(self, number: int) -> Path:
        return self._base.with_name(f"{self._base.name}.index-{number}")


def _parts(numbers: Numbers, size: int) -> Iterator[Numbers]:
    return (numbers[at : at + size] for at in range(0, len(numbers), size))
