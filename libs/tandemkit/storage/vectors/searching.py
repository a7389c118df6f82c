"""The answer to a query, from SQLite and an engine: whatever named the candidates, their scores are
those of what is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from tandemkit.storage.vectors import rows
from tandemkit.storage.vectors.matrix import Numbers, Rows, prepared, scores_of
from tandemkit.storage.vectors.protocol import Filter, Hit, Metric, Query
from tandemkit.storage.vectors.shelf import Held
from tandemkit.storage.vectors.texts import labels_in

_READ_ROWS, _PICK_ROWS = 2000, 500
# So many filters are remembered until the next write.
_FILTERS_MAX = 16


def best(database: sqlite3.Connection, held: Held, query: Query) -> tuple[Hit, ...]:
    among = _chosen(database, held, query.where) if query.where else None
    numbers = _candidates(held, query, among)
    if numbers is None:
        numbers = _compared(database, held, query, among)
    found = list(rows.by_numbers(database, numbers.tolist()))
    if not found:
        return ()
    metric = held.plan.metric
    stored = np.stack([row.vector for row in found])
    scores = scores_of(prepared(stored, metric), _vector(query, metric), metric)
    order = sorted(range(len(found)), key=lambda at: (-scores[at], found[at].number))
    return tuple(
        Hit(found[at].id, float(scores[at]), labels_in(found[at].labels)) for at in order[: query.k]
    )


def _chosen(database: sqlite3.Connection, held: Held, where: Filter) -> Numbers:
    # Taken before the read: what a write replaces meanwhile is not what is remembered.
    known = held.chosen
    found = known.get(where)
    if found is None:
        found = rows.numbers_of(database, held.number, where)
        if len(known) < _FILTERS_MAX:
            known[where] = found
    return found


def _candidates(held: Held, query: Query, among: Numbers | None) -> Numbers | None:
    """None where they all have to be compared: for want of an engine, by the caller's wish, or
    since the engine did not find enough of them.
    """
    with held.turn:
        engine = held.engine
        if engine is None:
            return None
        if query.exact and not engine.is_exact:
            return None
        found = engine.candidates(query.values, query.k, among)
        there = len(engine) if among is None else len(among)
        return found if engine.is_exact or len(found) >= min(query.k, there) else None


def _compared(
    database: sqlite3.Connection, held: Held, query: Query, among: Numbers | None
) -> Numbers:
    vector = _vector(query, held.plan.metric)
    best, named = np.empty(0, np.float32), np.empty(0, np.int64)
    for numbers, values in _read(database, held, among):
        scores = scores_of(prepared(values, held.plan.metric), vector, held.plan.metric)
        best, named = np.concatenate([best, scores]), np.concatenate([named, numbers])
        if len(best) > query.k:
            chosen = np.argpartition(-best, query.k)[: query.k]
            best, named = best[chosen], named[chosen]
    return named


def _read(
    database: sqlite3.Connection, held: Held, among: Numbers | None
) -> Iterator[tuple[Numbers, Rows]]:
    if among is not None and len(among) * 8 < held.points:
        for at in range(0, len(among), _PICK_ROWS):
            numbers, values = rows.vectors_of(database, among[at : at + _PICK_ROWS])
            if len(numbers):
                yield numbers, values
        return
    last = 0
    while True:
        numbers, values = rows.vectors(database, held.number, last, _READ_ROWS)
        if not len(numbers):
            return
        last = int(numbers[-1])
        chosen = slice(None) if among is None else np.isin(numbers, among)
        if len(numbers[chosen]):
            yield numbers[chosen], values[chosen]


def _vector(query: Query, metric: Metric) -> Rows:
    vector: Rows = prepared(query.values[np.newaxis], metric)[0]
    return vector
