"""Everything about somebody: found, exported, and deleted from the files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.memory.knowledge_base import ledger, names, shelf
from services.memory.knowledge_base.following import Following
from services.memory.knowledge_base.library import Library, space_of
from tandem.memory.v1 import document_pb2 as documents
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import subject_pb2 as nouns
from tandemkit.storage.subjects import Mention, folded
from tandemkit.storage.vectors.wire import texts_of

_AT_ONCE: Final = 50
_READ_AT_ONCE: Final = 20
_RECORD_CHARS_MAX: Final = 500_000
_NAMED = """
SELECT document FROM document_subjects JOIN documents ON documents.key = document
WHERE documents.space = ? AND folded = ? AND document > ? ORDER BY document LIMIT ?
"""
_ALL = "SELECT key FROM documents WHERE space = ? AND key > ? ORDER BY key LIMIT ?"
_TEXTS = """
SELECT key, labels, title, uri, text FROM documents WHERE space = ? AND key > ?
ORDER BY key LIMIT ?
"""
_DOCUMENT = """
SELECT id, title, uri, media_type, content_hash, chars, created_us, updated_us, labels,
    (SELECT COUNT(*) FROM passages WHERE document = documents.key),
    (SELECT COUNT(*) FROM passages WHERE document = documents.key AND is_embedded = 0)
FROM documents WHERE key = ?
"""
_NO_ITEMS = """
DELETE FROM ingest_items
WHERE document = ? AND ingest IN (SELECT key FROM ingests WHERE space = ?)
"""
_ITEMS = """
SELECT ingest_items.ingest, number, ingest_items.subjects, labels, content, uri, path
FROM ingest_items JOIN ingests ON ingests.key = ingest_items.ingest WHERE ingests.space = ?
"""


@dataclass(frozen=True, slots=True)
class Whom:
    """What is meant: a subject, perhaps with what mentions it, or the whole namespace."""

    namespace: str
    subject: str
    mentions: bool
    whole_namespace: bool

    @classmethod
    def of(cls, said: nouns.DeleteSubjectRequest | nouns.ExportSubjectRequest) -> Whom:
        namespace = names.namespace_of(said.namespace)
        return cls(namespace, said.subject, said.mentions, said.whole_namespace)


class Subjects:
    """Over the library and the vectors beside it."""

    def __init__(self, library: Library, following: Following) -> None:
        self._library, self._following = library, following

    async def delete(self, whom: Whom) -> int:
        """How many documents there were. They are in no file when it returns."""
        deleted = 0
        async for keys in self._keys(whom):
            await self._library.write(partial(_drop, keys=keys))
            deleted += len(keys)
        await self._library.write(lambda database: _drop_items(database, whom))
        await self.scrub()
        return deleted

    async def delete_document(self, name: names.Name) -> bool:
        """Whether it was there. It is in no file when this returns."""

        def write(database: sqlite3.Connection) -> bool:
            space = space_of(database, name.namespace)
            chosen = "SELECT key FROM documents WHERE space = ? AND id = ?"
            row = database.execute(chosen, (space, name.id)).fetchone()
            if row is not None:
                shelf.drop(database, row[0])
            # What an ingest still has of it, also a cancelled one.
            database.execute(_NO_ITEMS, (name.id, space))
            return row is not None

        was_there = await self._library.write(write)
        # Also when it was not: a call before this one may have died half way.
        await self.scrub()
        return was_there

    async def scrub(self) -> None:
        """What was deleted is in no file any more, vectors included."""
        await self._following.forget()
        await self._library.scrub()

    async def export(self, whom: Whom) -> AsyncIterator[nouns.SubjectRecord]:
        """Each document with its text; a long one in several records."""
        async for keys in self._keys(whom):
            for key in keys:
                start: int | None = 0
                while start is not None:
                    record, start = await self._library.read(
                        partial(_record, namespace=whom.namespace, key=key, start=start)
                    )
                    if record is not None:
                        yield record

    async def _keys(self, whom: Whom) -> AsyncIterator[list[int]]:
        space = await self._library.read(lambda database: space_of(database, whom.namespace))
        looks: list[Callable[..., tuple[int, list[int]]]] = []
        if whom.whole_namespace:
            looks.append(partial(_paged, chosen=_ALL, values=(space,)))
        else:
            looks.append(partial(_paged, chosen=_NAMED, values=(space, folded(whom.subject))))
        if whom.mentions:
            looks.append(partial(_mentioning, space=space, mention=Mention(whom.subject)))
        told: set[int] = set()
        for look in looks:
            after = 0
            while True:
                last, keys = await self._library.read(partial(look, after=after))
                if new := [key for key in keys if key not in told]:
                    told.update(new)
                    yield new
                if not last:
                    break
                after = last


def document_message(
    database: sqlite3.Connection, namespace: str, key: int
) -> documents.Document | None:
    """All that is said of a document; None where it has gone."""
    row = database.execute(_DOCUMENT, (key,)).fetchone()
    if row is None:
        return None
    document, title, uri, media_type, content_hash, chars, created, updated, labels, *parts = row
    subjects = database.execute("SELECT subject FROM document_subjects WHERE document = ?", (key,))
    found = documents.Document(
        name=names.document_name(namespace, document),
        title=title,
        uri=uri,
        media_type=media_type,
        content_hash=content_hash,
        subjects=[one for (one,) in subjects],
        chars=chars,
        passages=parts[0],
        pending=parts[1],
        labels=documents.Document.FromString(labels).labels,
    )
    found.create_time.FromMicroseconds(created)
    found.update_time.FromMicroseconds(updated)
    return found


def _paged(
    database: sqlite3.Connection, chosen: str, values: tuple[object, ...], after: int
) -> tuple[int, list[int]]:
    """The last key where there may be more, and keys."""
    keys = [key for (key,) in database.execute(chosen, (*values, after, _AT_ONCE))]
    return (keys[-1] if len(keys) == _AT_ONCE else 0), keys


def _mentioning(
    database: sqlite3.Connection, space: int, mention: Mention, after: int
) -> tuple[int, list[int]]:
    rows = database.execute(_TEXTS, (space, after, _READ_AT_ONCE)).fetchall()
    keys = [
        key for key, labels, *texts in rows if any(map(mention.is_in, (*texts, *_labelled(labels))))
    ]
    return (rows[-1][0] if len(rows) == _READ_AT_ONCE else 0), keys


def _drop(database: sqlite3.Connection, keys: Sequence[int]) -> None:
    for key in keys:
        shelf.drop(database, key)


def _drop_items(database: sqlite3.Connection, whom: Whom) -> None:
    """What ingests have of it that they did not take in, or tell of as failed."""
    space = space_of(database, whom.namespace)
    if whom.whole_namespace:
        ledger.forget_all(database, space)
        return
    # What such an ingest has not taken in yet would come behind the deletion.
    for key in list(_ingests(database, space, whom)):
        ledger.forget(database, key)
    for ingest, number in list(_items(database, space, whom)):
        gone = "DELETE FROM ingest_items WHERE ingest = ? AND number = ?"
        database.execute(gone, (ingest, number))


def _ingests(database: sqlite3.Connection, space: int, whom: Whom) -> Iterator[int]:
    """Those of which every document is about the subject, or whose folder mentions it."""
    about, mention = folded(whom.subject), Mention(whom.subject)
    chosen = "SELECT key, subjects, folder FROM ingests WHERE space = ?"
    for key, subjects, folder in database.execute(chosen, (space,)):
        named = about in map(folded, json.loads(subjects))
        if named or (whom.mentions and mention.is_in(folder)):
            yield key


def _items(database: sqlite3.Connection, space: int, whom: Whom) -> Iterator[tuple[int, int]]:
    about, mention = folded(whom.subject), Mention(whom.subject)
    for ingest, number, subjects, labels, content, *said in database.execute(_ITEMS, (space,)):
        texts = (*said, content.decode("utf-8", "replace"), *_labelled(labels))
        named = about in map(folded, json.loads(subjects))
        if named or (whom.mentions and any(map(mention.is_in, texts))):
            yield ingest, number


def _labelled(labels: bytes) -> list[str]:
    """What the labels of a document say."""
    return texts_of(documents.Document.FromString(labels).labels)


def _record(
    database: sqlite3.Connection, namespace: str, key: int, start: int
) -> tuple[nouns.SubjectRecord | None, int | None]:
    """A document with its text from there on, as far as fits into a message, and where the next
    record of it starts.
    """
    document = document_message(database, namespace, key)
    if document is None:
        return None, None
    cut = "SELECT substr(text, ?, ?) FROM documents WHERE key = ?"
    (text,) = database.execute(cut, (start + 1, _RECORD_CHARS_MAX, key)).fetchone()
    after = start + len(text)
    more = after if text and after < document.chars else 0
    whole = pb.GetDocumentResponse(document=document, text=text, next_char=more)
    record = nouns.SubjectRecord(
        agent=pb.DESCRIPTOR.services_by_name["KnowledgeBaseService"].full_name,
        name=f"{document.name}?start_char={start}" if start else document.name,
        message_type=whole.DESCRIPTOR.full_name,
        message=whole.SerializeToString(),
    )
    return record, more or None
