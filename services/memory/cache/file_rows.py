"""Entries as rows of SQLite, and which of them go where there is no room. Each function works
inside a transaction that its caller began.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from services.memory.cache.keeping import Kept, Place, VersionConflict, Write
from services.memory.cache.tier import Which
from tandem.memory.v1 import cache_entry_pb2 as nouns

# A namespace, and how many of its entries went.
Evicted: TypeAlias = Callable[[str, int], None]

# What is only lent may be lost with the machine, though not with the process: no flush a write.
SCHEMA = """
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    gone_ms INTEGER NOT NULL,
    mark TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    entry BLOB NOT NULL,
    UNIQUE (namespace, key)
) STRICT;
CREATE INDEX IF NOT EXISTS entries_gone ON entries (gone_ms);
CREATE INDEX IF NOT EXISTS entries_used ON entries (namespace, used_ms);
CREATE INDEX IF NOT EXISTS entries_uses ON entries (namespace, uses, used_ms);
CREATE TABLE IF NOT EXISTS sizes (
    namespace TEXT NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL,
    entries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writes (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO writes (one, version) VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO sizes (namespace, bytes, entries) VALUES (NEW.namespace, NEW.bytes, 1)
    ON CONFLICT (namespace) DO UPDATE SET bytes = bytes + NEW.bytes, entries = entries + 1;
END;
CREATE TRIGGER IF NOT EXISTS entries_written AFTER UPDATE OF bytes ON entries BEGIN
    UPDATE sizes SET bytes = bytes + NEW.bytes - OLD.bytes WHERE namespace = NEW.namespace;
END;
CREATE TRIGGER IF NOT EXISTS entries_removed AFTER DELETE ON entries BEGIN
    UPDATE sizes SET bytes = bytes - OLD.bytes, entries = entries - 1
    WHERE namespace = OLD.namespace;
    DELETE FROM sizes WHERE namespace = OLD.namespace AND entries = 0;
END;
"""
_FIND = "SELECT version, entry FROM entries WHERE namespace = ? AND key = ?"
_STANDING = "SELECT version, mark, gone_ms FROM entries WHERE namespace = ? AND key = ?"
_NEXT = "UPDATE writes SET version = version + 1 RETURNING version"
_PUT = """
INSERT INTO entries (namespace, key, version, gone_ms, mark, bytes, used_ms, uses, entry)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (namespace, key) DO UPDATE SET
    version = excluded.version, gone_ms = excluded.gone_ms, mark = excluded.mark,
    bytes = excluded.bytes, used_ms = excluded.used_ms, uses = uses + 1, entry = excluded.entry
"""
_NOTE = "UPDATE entries SET used_ms = ?, uses = uses + 1 WHERE namespace = ? AND key = ?"
_DELETE = "DELETE FROM entries WHERE namespace = ? AND key = ?"
_CHOSEN = """
SELECT version, entry FROM entries WHERE namespace = ? AND substr(key, 1, ?) = ?
"""
_SIZES = "SELECT namespace, bytes, entries FROM sizes"
_GONE = """
DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE gone_ms <= ? LIMIT 200)
"""
_EVICT = """
DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE namespace = ? ORDER BY {} LIMIT ?)
"""
_EVICT_RECENT = _EVICT.format("used_ms")
_EVICT_FREQUENT = _EVICT.format("uses, used_ms")
_AGE = "UPDATE entries SET uses = max(1, uses / 2) WHERE namespace = ?"
_EVICTED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry's row without its content; version 0 for none."""

    version: int = 0
    mark: str = ""
    gone_ms: int = 0

    def is_there(self, now_ms: int) -> bool:
        return now_ms < self.gone_ms


def found(database: sqlite3.Connection, places: Iterable[Place]) -> dict[Place, Kept]:
    rows = ((place, database.execute(_FIND, _named(place)).fetchone()) for place in places)
    return {place: _kept(*row) for place, row in rows if row is not None}


def standing(database: sqlite3.Connection, place: Place) -> Standing:
    row = database.execute(_STANDING, _named(place)).fetchone()
    return Standing(*row) if row else Standing()


def expect(expected: int | None, there: Standing, now_ms: int) -> None:
    """Raises VersionConflict."""
    actual = there.version if there.is_there(now_ms) else 0
    if expected is not None and expected != actual:
        message = "the entry has another version"
        raise VersionConflict(message, expected=expected, actual=actual)


def put(database: sqlite3.Connection, write: Write) -> int:
    """The version that it now has."""
    (version,) = database.execute(_NEXT).fetchone()
    kept = Kept.of(write.entry)
    entry = write.entry.SerializeToString()
    row = (version, kept.gone_ms, write.mark, kept.cost, write.now_ms, entry)
    database.execute(_PUT, (*_named(write.place), *row))
    return int(version)


def note(database: sqlite3.Connection, used: Mapping[Place, int]) -> None:
    """When they were used last, which their eviction asks for."""
    rows = ((used_ms, *_named(place)) for place, used_ms in used.items())
    database.executemany(_NOTE, rows)


def delete(database: sqlite3.Connection, places: Iterable[Place]) -> int:
    """How many there were."""
    return sum(database.execute(_DELETE, _named(one)).rowcount for one in places)


def chosen(database: sqlite3.Connection, which: Which) -> Iterator[Kept]:
    """Also those whose time is over."""
    is_chosen = which.chosen()
    wanted = (which.namespace, len(which.prefix), which.prefix)
    for row in database.execute(_CHOSEN, wanted):
        kept = _kept(*row)
        if is_chosen(kept.entry):
            yield kept


class Room:
    """Holds the file to its number of bytes. What others learn of it is as of the last write."""

    def __init__(
        self, bytes_max: int, by_frequency: Callable[[str], bool], evicted: Evicted
    ) -> None:
        self._bytes_max, self._by_frequency, self._evicted = bytes_max, by_frequency, evicted
        self._since_aged: dict[str, int] = {}
        self.bytes: dict[str, int] = {}

    def make(self, database: sqlite3.Connection, now_ms: int) -> None:
        """What is gone goes first, then what the namespace with the most bytes misses least."""
        database.execute(_GONE, (now_ms,))
        sizes = self.look(database)
        while sizes and sum(self.bytes.values()) > self._bytes_max:
            namespace = max(self.bytes, key=self.bytes.__getitem__)
            self._evict(database, namespace, sizes[namespace])
            sizes = self.look(database)

    def look(self, database: sqlite3.Connection) -> dict[str, int]:
        """How many entries each namespace has."""
        rows = database.execute(_SIZES).fetchall()
        self.bytes = {namespace: size for namespace, size, _ in rows}
        return {namespace: entries for namespace, _, entries in rows}

    def _evict(self, database: sqlite3.Connection, namespace: str, entries: int) -> None:
        by_frequency = self._by_frequency(namespace)
        # Few of few, so that a full file of large entries does not lose them all at once.
        count = min(_EVICTED_AT_ONCE, max(1, entries // 8))
        order = _EVICT_FREQUENT if by_frequency else _EVICT_RECENT
        gone = database.execute(order, (namespace, count)).rowcount
        self._evicted(namespace, gone)
        if by_frequency:
            since = self._since_aged.get(namespace, 0) + gone
            if since > entries:
                database.execute(_AGE, (namespace,))
            self._since_aged[namespace] = 0 if since > entries else since


def _named(place: Place) -> tuple[str, str]:
    return place.namespace, place.key


def _kept(version: int, content: bytes) -> Kept:
    entry = nouns.CacheEntry.FromString(content)
    entry.version = version
    return Kept.of(entry)
