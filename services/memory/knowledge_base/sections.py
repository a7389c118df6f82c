"""Passages with what stands around them under the same headings: read, and quoted, as one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.memory.knowledge_base import names
from services.memory.knowledge_base.shelf import HEADINGS_BETWEEN
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import document_pb2 as documents
from tandem.memory.v1 import passage_pb2 as nouns
from tandemkit.storage.vectors.wire import labels_of

CHARS_MAX: Final = 4000
# A document's own label: below 1, it answers where others do not.
WEIGHT: Final = "weight"
_AROUND = """
SELECT key, document, start_char, end_char, page, headings FROM passages
WHERE document IN (SELECT document FROM passages WHERE key IN (SELECT value FROM json_each(?)))
ORDER BY document, start_char
"""
_DOCUMENT = """
SELECT spaces.name, documents.id, title, uri, labels, substr(text, :start + 1, :length)
FROM documents JOIN spaces ON spaces.key = documents.space WHERE documents.key = :key
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A passage, by its place."""

    key: int
    document: int
    start_char: int
    end_char: int
    page: int
    headings: str


@dataclass(frozen=True, slots=True)
class Section:
    """`text` begins at `start_char` of its document."""

    parts: tuple[Part, ...]
    namespace: str
    document: str
    title: str
    uri: str
    weight: float
    text: str

    @property
    def start_char(self) -> int:
        return self.parts[0].start_char

    @property
    def headings(self) -> tuple[str, ...]:
        said = self.parts[0].headings
        return tuple(said.split(HEADINGS_BETWEEN)) if said else ()

    def citation(self, number: int, start: int, quote: str) -> citations.Citation:
        """Of what stands at `start` of its text."""
        begins = self.start_char + start
        part = next(one for one in reversed(self.parts) if one.start_char <= begins)
        return citations.Citation(
            number=number,
            name=names.passage_name(self.namespace, self.document, part.key),
            uri=self.uri,
            span=nouns.Span(start_char=begins, end_char=begins + len(quote), page=part.page),
            quote=quote,
            headings=dict.fromkeys(one for one in (self.title, *self.headings) if one),
        )


def sections(database: sqlite3.Connection, keys: Sequence[int]) -> list[Section]:
    """Around passages, in their order, each once."""
    rows = database.execute(_AROUND, (json.dumps(list(keys)),))
    every = [Part(*row) for row in rows]
    places = {one.key: place for place, one in enumerate(every)}
    found: list[Section] = []
    seen: set[int] = set()
    for key in keys:
        place = places.get(key)
        if place is None or key in seen:
            continue
        parts = _around(every, place)
        seen.update(one.key for one in parts)
        section = _section(database, parts)
        if section is not None:
            found.append(section)
    return found


def _around(every: Sequence[Part], place: int) -> tuple[Part, ...]:
    """Its neighbours on both sides, as long as the whole stays short enough."""
    first = last = place
    while True:
        before = first > 0 and _belongs(every, first - 1, (first - 1, last))
        if before:
            first -= 1
        after = last + 1 < len(every) and _belongs(every, last + 1, (first, last + 1))
        if after:
            last += 1
        if not before and not after:
            return tuple(every[first : last + 1])


def _belongs(every: Sequence[Part], place: int, ends: tuple[int, int]) -> bool:
    one, other = every[place], every[ends[1] if place == ends[0] else ends[0]]
    alike = (one.document, one.headings) == (other.document, other.headings)
    return alike and every[ends[1]].end_char - every[ends[0]].start_char <= CHARS_MAX


def _section(database: sqlite3.Connection, parts: tuple[Part, ...]) -> Section | None:
    start = parts[0].start_char
    said = {"key": parts[0].document, "start": start, "length": parts[-1].end_char - start}
    row = database.execute(_DOCUMENT, said).fetchone()
    if row is None:
        return None
    namespace, document, title, uri, labels, text = row
    weight = labels_of(documents.Document.FromString(labels).labels).get(WEIGHT, 1.0)
    weighs = weight if isinstance(weight, float) else 1.0
    return Section(parts, namespace, document, title, uri, weighs, text)
