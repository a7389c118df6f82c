"""Documents and their passages, as functions of one transaction: a document changes with its
passages, words and facts, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.memory.knowledge_base.facts import folded_name
from services.memory.knowledge_base.reading import FORM, Part, Text
from tandemkit.storage.subjects import folded

# Headings never hold one.
HEADINGS_BETWEEN = "\n"
_DOCUMENT = "SELECT key, content_hash, form, title FROM documents WHERE space = ? AND id = ?"
_NEW_DOCUMENT = """
INSERT INTO documents (space, id, title, uri, media_type, content_hash, form, folder, path,
    created_us, updated_us, chars, labels, text)
VALUES (:space, :id, :title, :uri, :media_type, :content_hash, :form, :folder, :path,
    :now_us, :now_us, :chars, :labels, :text)
RETURNING key
"""
_CHANGE_DOCUMENT = """
UPDATE documents SET title = :title, uri = :uri, media_type = :media_type,
    content_hash = :content_hash, form = :form, folder = :folder, path = :path,
    updated_us = :now_us, chars = :chars, labels = :labels, text = :text
WHERE key = :key
"""
_PASSAGES = "SELECT key, hash FROM passages WHERE document = ? ORDER BY start_char"
_NEW_PASSAGE = """
INSERT INTO passages (document, space, start_char, end_char, page, hash, context, title, headings,
    body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key
"""
_MOVE_PASSAGE = "UPDATE passages SET start_char = ?, end_char = ?, page = ? WHERE key = ?"
_OLD_PASSAGE = "SELECT space, title, headings, body FROM passages WHERE key = ?"
_WORDS = "INSERT INTO words (rowid, space, title, headings, body) VALUES (?, ?, ?, ?, ?)"
_NO_WORDS = """
INSERT INTO words (words, rowid, space, title, headings, body) VALUES ('delete', ?, ?, ?, ?, ?)
"""
_FACT = """
INSERT INTO facts (space, passage, subject, predicate, object, subject_folded, object_folded)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Filed:
    """What is said of a document besides its content."""

    space: int
    id: str
    uri: str
    folder: str
    path: str
    content_hash: str
    subjects: tuple[str, ...]
    # A serialized `Document` with nothing else in it.
    labels: bytes
    now_us: int


@dataclass(frozen=True, slots=True)
class Put:
    """What became of its passages."""

    is_new: bool
    added: int
    kept: int


def space_key(database: sqlite3.Connection, name: str) -> int:
    """Of a namespace, which is made if need be."""
    found = database.execute("SELECT key FROM spaces WHERE name = ?", (name,)).fetchone()
    if found is None:
        made = "INSERT INTO spaces (name) VALUES (?) RETURNING key"
        found = database.execute(made, (name,)).fetchone()
    return int(found[0])


def space_word(space: int) -> str:
    """What stands for a namespace among the words: no stemmer changes it."""
    return f"n{space}"


def is_unchanged(database: sqlite3.Connection, filed: Filed) -> bool:
    """Whether it is here as it is, and was read as it would be now."""
    row = database.execute(_DOCUMENT, (filed.space, filed.id)).fetchone()
    return row is not None and row[1:3] == (filed.content_hash, FORM)


def file_again(database: sqlite3.Connection, filed: Filed) -> None:
    """What is said of a document whose content stays as it is."""
    (key, *_rest) = database.execute(_DOCUMENT, (filed.space, filed.id)).fetchone()
    change = "UPDATE documents SET uri = ?, folder = ?, path = ?, labels = ? WHERE key = ?"
    database.execute(change, (filed.uri, filed.folder, filed.path, filed.labels, key))
    _say_subjects(database, key, filed.subjects)


def put(database: sqlite3.Connection, filed: Filed, text: Text) -> Put:
    """Instead of what was there. Passages that stay what they were keep their keys."""
    row = database.execute(_DOCUMENT, (filed.space, filed.id)).fetchone()
    said = {
        "space": filed.space,
        "id": filed.id,
        "title": text.title,
        "uri": filed.uri,
        "media_type": text.media_type,
        "content_hash": filed.content_hash,
        "form": FORM,
        "folder": filed.folder,
        "path": filed.path,
        "now_us": filed.now_us,
        "chars": len(text.text),
        "labels": filed.labels,
        "text": text.text,
    }
    if row is None:
        (key,) = database.execute(_NEW_DOCUMENT, said).fetchone()
    else:
        key = row[0]
        database.execute(_CHANGE_DOCUMENT, {**said, "key": key})
    _say_subjects(database, key, filed.subjects)
    added, kept = _put_parts(database, filed.space, key, text)
    return Put(row is None, added, kept)


def drop(database: sqlite3.Connection, key: int) -> None:
    """The document with all that hangs on it."""
    passages = [one for one, _hash in database.execute(_PASSAGES, (key,))]
    _drop_passages(database, passages)
    database.execute("DELETE FROM document_subjects WHERE document = ?", (key,))
    database.execute("DELETE FROM documents WHERE key = ?", (key,))


def merge_words(database: sqlite3.Connection) -> None:
    """So that no segment has words of what was deleted any more."""
    database.execute("INSERT INTO words (words) VALUES ('optimize')")


def _say_subjects(database: sqlite3.Connection, key: int, subjects: Iterable[str]) -> None:
    database.execute("DELETE FROM document_subjects WHERE document = ?", (key,))
    database.executemany(
        "INSERT OR IGNORE INTO document_subjects (document, folded, subject) VALUES (?, ?, ?)",
        [(key, folded(one), one) for one in subjects],
    )


def _put_parts(
    database: sqlite3.Connection, space: int, document: int, text: Text
) -> tuple[int, int]:
    """How many passages are new, and how many stayed."""
    there: dict[str, list[int]] = defaultdict(list)
    for key, passage_hash in database.execute(_PASSAGES, (document,)).fetchall():
        there[passage_hash].append(key)
    added = kept = 0
    for part in text.parts:
        if there.get(part.hash):
            key = there[part.hash].pop(0)
            place = (part.start_char, part.end_char, part.page, key)
            database.execute(_MOVE_PASSAGE, place)
            database.execute("DELETE FROM facts WHERE passage = ?", (key,))
            kept += 1
        else:
            key = _new_passage(database, space, document, text.title, part)
            added += 1
        _say_facts(database, space, key, part)
    _drop_passages(database, [key for keys in there.values() for key in keys])
    return added, kept


def _new_passage(
    database: sqlite3.Connection, space: int, document: int, title: str, part: Part
) -> int:
    place = (part.start_char, part.end_char, part.page, part.hash, part.context)
    headings = HEADINGS_BETWEEN.join(part.headings)
    words = (title, headings, part.body)
    (key,) = database.execute(_NEW_PASSAGE, (document, space, *place, *words)).fetchone()
    database.execute(_WORDS, (key, space_word(space), *words))
    return int(key)


def _say_facts(database: sqlite3.Connection, space: int, passage: int, part: Part) -> None:
    rows = [
        (
            space,
            passage,
            one.subject,
            one.predicate,
            one.object,
            folded_name(one.subject),
            folded_name(one.object),
        )
        for one in part.facts
    ]
    database.executemany(_FACT, rows)


def _drop_passages(database: sqlite3.Connection, keys: Sequence[int]) -> None:
    for key in keys:
        space, *words = database.execute(_OLD_PASSAGE, (key,)).fetchone()
        database.execute(_NO_WORDS, (key, space_word(space), *words))
        database.execute("DELETE FROM facts WHERE passage = ?", (key,))
        database.execute("INSERT OR IGNORE INTO stale_vectors (passage) VALUES (?)", (key,))
        database.execute("DELETE FROM passages WHERE key = ?", (key,))
