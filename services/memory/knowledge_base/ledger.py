"""Ingests and what they still have to do, as functions of one transaction."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.memory.knowledge_base.shelf import Put
from tandem.memory.v1 import ingest_pb2 as nouns

RUNNING: Final = int(nouns.INGEST_STATE_RUNNING)
DONE: Final = int(nouns.INGEST_STATE_DONE)
FAILURES_SHOWN = 100
# Of each namespace; the oldest that ended go.
KEPT_MAX = 100
_ENTRIES = """
SELECT key, space, id, digest, state, folder, patterns, subjects, is_listed, documents, added,
    changed, unchanged, removed, failed, passages_added, passages_kept, created_us, ended_us
FROM ingests WHERE
"""
_ITEM = """
SELECT number, document, uri, path, media_type, subjects, labels, content FROM ingest_items
WHERE ingest = ? AND is_done = 0 ORDER BY number LIMIT 1
"""
_NEW_ITEM = """
INSERT INTO ingest_items (ingest, number, document, uri, path, media_type, subjects, labels,
    content)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DONE_ITEM = """
UPDATE ingest_items SET is_done = 1, fault = ?, content = x'' WHERE ingest = ? AND number = ?
"""
_GONE = """
SELECT key, path FROM documents WHERE space = :space AND folder = :folder AND path NOT IN
    (SELECT path FROM ingest_items WHERE ingest = :ingest)
"""
_COUNT_PUT = """
UPDATE ingests SET added = added + :is_new, changed = changed + 1 - :is_new,
    passages_added = passages_added + :added, passages_kept = passages_kept + :kept
WHERE key = :key
"""
_COUNT_OTHER = """
UPDATE ingests SET failed = failed + :has_failed, unchanged = unchanged + 1 - :has_failed
WHERE key = :key
"""
_FORGET_ITEMS = """
DELETE FROM ingest_items WHERE ingest IN (SELECT key FROM ingests WHERE space = ?)
"""
_FORGOTTEN = """
SELECT key FROM ingests WHERE space = ? AND state <> ?
ORDER BY ended_us DESC, key DESC LIMIT -1 OFFSET ?
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One document that is to be taken in. Without content it is the file at `path`."""

    document: str
    uri: str
    path: str
    media_type: str
    subjects: tuple[str, ...]
    content: bytes
    # A serialized `Document` with nothing else in it.
    labels: bytes = b""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """What an ingest is asked to do. With a folder, what is not there any more goes from here."""

    space: int
    id: str
    folder: str = ""
    patterns: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    items: tuple[Item, ...] = field(default_factory=tuple)
    # The folder's documents come with the order.
    is_listed: bool = False

    def at(self, space: int) -> Order:
        """The same in that namespace."""
        return replace(self, space=space)

    @property
    def digest(self) -> str:
        """The same for the same order, so that an id cannot mean two things."""
        whole = hashlib.sha256()
        told = [self.folder, self.patterns, self.subjects, len(self.items)]
        whole.update(json.dumps(told).encode())
        for one in self.items:
            said = [one.document, one.uri, one.path, one.media_type, one.subjects]
            whole.update(json.dumps(said).encode())
            whole.update(hashlib.sha256(one.labels).digest() + hashlib.sha256(one.content).digest())
        return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """An ingest as it stands."""

    key: int
    space: int
    id: str
    digest: str
    state: int
    folder: str
    patterns: tuple[str, ...]
    subjects: tuple[str, ...]
    is_listed: bool
    documents: int
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: int
    passages_added: int
    passages_kept: int
    created_us: int
    ended_us: int

    @property
    def is_running(self) -> bool:
        return self.state == RUNNING


def accept(database: sqlite3.Connection, order: Order, now_us: int) -> int:
    """Notes a new one, and its key."""
    said = (json.dumps(order.patterns), json.dumps(order.subjects), order.is_listed)
    (key,) = database.execute(
        "INSERT INTO ingests (space, id, digest, state, folder, patterns, subjects, is_listed,"
        " created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
        (order.space, order.id, order.digest, RUNNING, order.folder, *said, now_us),
    ).fetchone()
    add_items(database, key, order.items)
    if order.items:
        count = "UPDATE ingests SET documents = ?, is_listed = 1 WHERE key = ?"
        database.execute(count, (len(order.items), key))
    return int(key)


def add_items(database: sqlite3.Connection, key: int, items: Iterable[Item]) -> None:
    database.executemany(
        _NEW_ITEM,
        [
            (
                key,
                number,
                one.document,
                one.uri,
                one.path,
                one.media_type,
                json.dumps(one.subjects),
                one.labels,
                one.content,
            )
            for number, one in enumerate(items)
        ],
    )


def listed(database: sqlite3.Connection, key: int, items: Sequence[Item]) -> None:
    """What its folder has, all of it."""
    add_items(database, key, items)
    said = "UPDATE ingests SET documents = ?, is_listed = 1 WHERE key = ?"
    database.execute(said, (len(items), key))


def find(database: sqlite3.Connection, space: int, ingest_id: str) -> Entry | None:
    chosen = f"{_ENTRIES} space = ? AND id = ?"
    row = database.execute(chosen, (space, ingest_id)).fetchone()
    return row and _entry(row)


def entry(database: sqlite3.Connection, key: int) -> Entry | None:
    row = database.execute(f"{_ENTRIES} key = ?", (key,)).fetchone()
    return row and _entry(row)


def running(database: sqlite3.Connection) -> list[int]:
    """Those that are worked on, the oldest first."""
    rows = database.execute("SELECT key FROM ingests WHERE state = ? ORDER BY key", (RUNNING,))
    return [key for (key,) in rows]


def page(database: sqlite3.Connection, space: int, before: int, limit: int) -> list[Entry]:
    """The newest first, from below a key."""
    chosen = f"{_ENTRIES} space = ? AND key < ? ORDER BY key DESC LIMIT ?"
    return [_entry(row) for row in database.execute(chosen, (space, before, limit))]


def failures(database: sqlite3.Connection, key: int) -> list[nouns.DocumentFailure]:
    rows = database.execute(
        "SELECT document, uri, fault FROM ingest_items WHERE ingest = ? AND fault <> 0"
        " ORDER BY number LIMIT ?",
        (key, FAILURES_SHOWN),
    )
    return [
        nouns.DocumentFailure(document_id=document, uri=uri, fault=fault)
        for document, uri, fault in rows
    ]


def next_item(database: sqlite3.Connection, key: int) -> Item | None:
    row = database.execute(_ITEM, (key,)).fetchone()
    if row is None:
        return None
    number, document, uri, path, media_type, subjects, labels, content = row
    about = tuple(json.loads(subjects))
    return Item(document, uri, path, media_type, about, content, labels, number)


def is_open(database: sqlite3.Connection, key: int, item: Item) -> bool:
    """Whether it is still to be done: nobody took it away since it was read."""
    chosen = "SELECT 1 FROM ingest_items WHERE ingest = ? AND number = ? AND is_done = 0"
    return database.execute(chosen, (key, item.number)).fetchone() is not None


def done(database: sqlite3.Connection, key: int, item: Item, outcome: Put | int | None) -> None:
    """What became of one: its passages, a fault, or nothing, for it was there."""
    fault = outcome if isinstance(outcome, int) else 0
    database.execute(_DONE_ITEM, (fault, key, item.number))
    if isinstance(outcome, Put):
        made = {"is_new": outcome.is_new, "added": outcome.added, "kept": outcome.kept}
        database.execute(_COUNT_PUT, {**made, "key": key})
    else:
        database.execute(_COUNT_OTHER, {"has_failed": bool(fault), "key": key})


def gone(database: sqlite3.Connection, one: Entry) -> Iterator[tuple[int, str]]:
    """Documents of its folder, with their paths, that are not among what it found."""
    said = {"space": one.space, "folder": one.folder, "ingest": one.key}
    yield from database.execute(_GONE, said)


def end(database: sqlite3.Connection, one: Entry, state: int, now_us: int) -> None:
    """What is still to be done stays, unless it is done; of those that ended long ago nothing."""
    said = "UPDATE ingests SET state = ?, ended_us = ? WHERE key = ?"
    database.execute(said, (state, now_us, one.key))
    if state == DONE:
        database.execute("DELETE FROM ingest_items WHERE ingest = ? AND fault = 0", (one.key,))
    for (key,) in database.execute(_FORGOTTEN, (one.space, RUNNING, KEPT_MAX)).fetchall():
        forget(database, key)


def supersede(database: sqlite3.Connection, order: Order, now_us: int) -> None:
    """Ends whatever else is worked on in the order's namespace."""
    chosen = "SELECT key FROM ingests WHERE space = ? AND state = ? AND id <> ?"
    for (key,) in database.execute(chosen, (order.space, RUNNING, order.id)).fetchall():
        if (other := entry(database, key)) is not None:
            end(database, other, int(nouns.INGEST_STATE_CANCELLED), now_us)


def last(database: sqlite3.Connection, space: int) -> str:
    """Id of the one that was accepted last; empty for none."""
    chosen = "SELECT id FROM ingests WHERE space = ? ORDER BY key DESC LIMIT 1"
    found = database.execute(chosen, (space,)).fetchone()
    return str(found[0]) if found else ""


def forget(database: sqlite3.Connection, key: int) -> None:
    database.execute("DELETE FROM ingest_items WHERE ingest = ?", (key,))
    database.execute("DELETE FROM ingests WHERE key = ?", (key,))


def forget_all(database: sqlite3.Connection, space: int) -> None:
    """Of a namespace that is to be empty; those that run end here."""
    database.execute(_FORGET_ITEMS, (space,))
    database.execute("DELETE FROM ingests WHERE space = ?", (space,))


def begin_again(database: sqlite3.Connection, one: Entry) -> None:
    """It goes on with what was left; a folder that was never listed is looked at first."""
    said = "UPDATE ingests SET state = ?, ended_us = 0 WHERE key = ?"
    database.execute(said, (RUNNING, one.key))


def _entry(row: Sequence[object]) -> Entry:
    values: list[Any] = list(row)
    values[6], values[7] = (tuple(json.loads(one)) for one in values[6:8])
    values[8] = bool(values[8])
    return Entry(*values)
