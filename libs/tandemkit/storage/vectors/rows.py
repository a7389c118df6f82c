"""Points in SQLite: what is true of a collection that lies in files. Each function is part of a
transaction.

A point's number is never another's, and a point whose vector changes gets a new one: an index is
right when its numbers are those that stand here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandemkit.storage.vectors.filtering import chosen
from tandemkit.storage.vectors.matrix import Numbers, Rows
from tandemkit.storage.vectors.protocol import (
    Filter,
    Index,
    Label,
    Metric,
    Plan,
    Point,
    Space,
)
from tandemkit.storage.vectors.texts import labels_in, labels_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    metric TEXT NOT NULL,
    search TEXT NOT NULL,
    points INTEGER NOT NULL DEFAULT 0,
    index_digest BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS points (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    id TEXT NOT NULL,
    vector BLOB NOT NULL,
    labels TEXT NOT NULL,
    UNIQUE (collection, id)
) STRICT;
CREATE INDEX IF NOT EXISTS points_by_number ON points (collection, number);
CREATE TABLE IF NOT EXISTS texts (
    collection INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (collection, key, value, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (
    collection INTEGER NOT NULL,
    key TEXT NOT NULL,
    value REAL NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (collection, key, value, number)
) STRICT, WITHOUT ROWID;
"""
_COLLECTION = """
SELECT number, model, version, dimension, metric, search FROM collections WHERE name = ?
"""
_CREATE = """
INSERT INTO collections (name, model, version, dimension, metric, search)
VALUES (?, ?, ?, ?, ?, ?) RETURNING number
"""
_PUT = "INSERT INTO points (collection, id, vector, labels) VALUES (?, ?, ?, ?) RETURNING number"
_RELABEL = "UPDATE points SET labels = ? WHERE number = ?"
_COUNTED = "UPDATE collections SET points = points + ? WHERE number = ?"
_READ_MAX = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A point as it is stored."""

    number: int
    id: str
    values: bytes
    labels: str

    @property
    def vector(self) -> Rows:
        return np.frombuffer(self.values, "<f4").astype(np.float32, copy=False)

    @property
    def point(self) -> Point:
        return Point(self.id, self.vector.copy(), labels_in(self.labels))


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did to a collection, for its index. `added` are numbers that rise."""

    added: Numbers
    values: Rows
    removed: Numbers


def find_collection(database: sqlite3.Connection, name: str) -> tuple[int, Plan] | None:
    row = database.execute(_COLLECTION, (name,)).fetchone()
    if row is None:
        return None
    number, model, version, dimension, metric, search = row
    return number, Plan(Space(model, version, dimension), Metric(metric), Index(search))


def create_collection(database: sqlite3.Connection, name: str, plan: Plan) -> tuple[int, Plan]:
    """The one that there is, or a new one."""
    found = find_collection(database, name)
    if found is not None:
        return found
    space = plan.space
    values = (name, space.model, space.version, space.dimension, plan.metric, plan.index)
    ((number,),) = database.execute(_CREATE, values).fetchall()
    return number, plan


def names(database: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in database.execute("SELECT name FROM collections ORDER BY name"))


def drop_collection(database: sqlite3.Connection, number: int) -> None:
    for table in ("texts", "numbers", "points"):
        database.execute(f"DELETE FROM {table} WHERE collection = ?", (number,))
    database.execute("DELETE FROM collections WHERE number = ?", (number,))


def count(database: sqlite3.Connection, collection: int, where: Filter = ()) -> int | None:
    """None where there is no such collection."""
    if where:
        query, values = chosen(collection, where)
        ((found,),) = database.execute(f"SELECT count(*) FROM ({query})", values).fetchall()
        return int(found)
    query = "SELECT points FROM collections WHERE number = ?"
    row = database.execute(query, (collection,)).fetchone()
    return row[0] if row else None


def write(database: sqlite3.Connection, collection: int, points: Sequence[Point]) -> Change:
    """Over the points of the same ids. One whose vector stays keeps its number."""
    there = {row.id: row for row in by_ids(database, collection, [one.id for one in points])}
    added: list[int] = []
    vectors: list[Rows] = []
    removed: list[int] = []
    for point in points:
        old, vector, labels = there.get(point.id), _bytes(point.values), labels_text(point.labels)
        if old is not None:
            _unlabel(database, collection, old)
        if old is not None and old.values == vector:
            number = old.number
            database.execute(_RELABEL, (labels, number))
        else:
            if old is not None:
                removed.append(old.number)
                database.execute("DELETE FROM points WHERE number = ?", (old.number,))
            put = (collection, point.id, vector, labels)
            ((number,),) = database.execute(_PUT, put).fetchall()
            added.append(number)
            vectors.append(point.values)
        _label(database, collection, number, point.labels)
    database.execute(_COUNTED, (len(points) - len(there), collection))
    rows = np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
    return Change(np.array(added, np.int64), rows, np.array(sorted(removed), np.int64))


def remove(database: sqlite3.Connection, collection: int, rows: Sequence[Row]) -> Change:
    for row in rows:
        _unlabel(database, collection, row)
        database.execute("DELETE FROM points WHERE number = ?", (row.number,))
    database.execute(_COUNTED, (-len(rows), collection))
    gone = np.array(sorted(row.number for row in rows), np.int64)
    return Change(np.empty(0, np.int64), np.empty((0, 0), np.float32), gone)


def by_ids(database: sqlite3.Connection, collection: int, ids: Iterable[str]) -> list[Row]:
    rows: list[Row] = []
    for part in _parts(list(dict.fromkeys(ids))):
        query = (
            "SELECT number, id, vector, labels FROM points "
            f"WHERE collection = ? AND id IN ({_marks(part)})"
        )
        rows += [Row(*one) for one in database.execute(query, (collection, *part))]
    return rows


def named(database: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[Row]:
    """Without their vectors."""
    for part in _parts(numbers):
        query = f"SELECT number, id, x'', labels FROM points WHERE number IN ({_marks(part)})"
        for one in database.execute(query, part):
            yield Row(*one)


def by_numbers(database: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[Row]:
    for part in _parts(numbers):
        query = f"SELECT number, id, vector, labels FROM points WHERE number IN ({_marks(part)})"
        for one in database.execute(query, part):
            yield Row(*one)


def vectors(
    database: sqlite3.Connection, collection: int, after: int, limit: int
) -> tuple[Numbers, Rows]:
    """Those whose numbers stand behind `after`, in their order."""
    query = (
        "SELECT number, vector FROM points "
        "WHERE collection = ? AND number > ? ORDER BY number LIMIT ?"
    )
    return _stacked(database.execute(query, (collection, after, limit)).fetchall())


def vectors_of(database: sqlite3.Connection, numbers: Numbers) -> tuple[Numbers, Rows]:
    """Of at most 500 numbers, those that are there."""
    part = numbers.tolist()
    query = f"SELECT number, vector FROM points WHERE number IN ({_marks(part)})"
    return _stacked(database.execute(query, part).fetchall())


def numbers_of(database: sqlite3.Connection, collection: int, where: Filter = ()) -> Numbers:
    """Of the points that fulfil `where`, rising."""
    query, values = chosen(collection, where)
    found = database.execute(query, values).fetchall()
    return np.sort(np.fromiter((number for (number,) in found), np.int64, len(found)))


def page(
    database: sqlite3.Connection, collection: int, after: str, limit: int, where: Filter
) -> list[Row]:
    query, values = chosen(collection, where)
    return [
        Row(*one)
        for one in database.execute(
            "SELECT number, id, vector, labels FROM points "
            f"WHERE collection = ? AND id > ? AND number IN ({query}) ORDER BY id LIMIT ?",
            (collection, after, *values, limit),
        )
    ]


def _bytes(values: Rows) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _entries(
    collection: int, number: int, labels: Mapping[str, Label]
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    texts: list[tuple[object, ...]] = []
    reals: list[tuple[object, ...]] = []
    for key, label in labels.items():
        if isinstance(label, tuple):
            texts += [(collection, key, text, number) for text in {*label}]
        else:
            reals.append((collection, key, float(label), number))
    return texts, reals


def _label(
    database: sqlite3.Connection, collection: int, number: int, labels: Mapping[str, Label]
) -> None:
    texts, reals = _entries(collection, number, labels)
    database.executemany("INSERT INTO texts VALUES (?, ?, ?, ?)", texts)
    database.executemany("INSERT INTO numbers VALUES (?, ?, ?, ?)", reals)


def _unlabel(database: sqlite3.Connection, collection: int, row: Row) -> None:
    texts, reals = _entries(collection, row.number, labels_in(row.labels))
    same = "WHERE collection = ? AND key = ? AND value = ? AND number = ?"
    database.executemany(f"DELETE FROM texts {same}", texts)
    database.executemany(f"DELETE FROM numbers {same}", reals)


def _stacked(found: Sequence[tuple[int, bytes]]) -> tuple[Numbers, Rows]:
    numbers = np.array([number for number, _ in found], np.int64)
    if not found:
        return numbers, np.empty((0, 0), np.float32)
    joined = np.frombuffer(b"".join(vector for _, vector in found), "<f4")
    return numbers, joined.astype(np.float32, copy=False).reshape(len(found), -1)


def _parts(of: Sequence[str] | Sequence[int]) -> Iterator[Sequence[str] | Sequence[int]]:
    return (of[at : at + _READ_MAX] for at in range(0, len(of), _READ_MAX))


def _marks(of: Sequence[object]) -> str:
    return ", ".join("?" * len(of))
