"""What is found: by words, by meaning, and both merged by their ranks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.memory.knowledge_base import names, words
from services.memory.knowledge_base.library import Library, pending_in, space_of
from services.memory.knowledge_base.meaning import Meaning
from services.memory.knowledge_base.ports import Embedded
from services.memory.knowledge_base.shelf import HEADINGS_BETWEEN
from services.memory.knowledge_base.words import Within
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import document_pb2 as documents
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import passage_pb2 as nouns
from tandemkit.ml.ranking.fusion import fused
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.subjects import folded
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.protocol import Label, Space, SpaceMismatch
from tandemkit.storage.vectors.wire import filter_of, labels_of

_PASSAGES = """
SELECT passages.key, spaces.name, documents.id, documents.title, documents.uri,
    passages.headings, passages.start_char, passages.end_char, passages.page, passages.hash,
    passages.body
FROM passages JOIN documents ON documents.key = passages.document
JOIN spaces ON spaces.key = passages.space
WHERE passages.key IN (SELECT value FROM json_each(?))
"""
# Of reciprocal rank fusion; chosen by measurement: docs/design/documents.md.
_CONSTANT: Final = 10.0
HYBRID: Final = pb.SEARCH_MODE_HYBRID
LEXICAL: Final = pb.SEARCH_MODE_LEXICAL
VECTOR: Final = pb.SEARCH_MODE_VECTOR


@dataclass(frozen=True, slots=True)
class Terms:
    """How a search goes about it."""

    candidates: int
    embed_s_max: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, and where. Without documents in the filter, in all of them."""

    query: str
    namespaces: tuple[str, ...]
    limit: int
    mode: pb.SearchMode.ValueType = HYBRID
    filter: pb.KnowledgeFilter = field(default_factory=pb.KnowledgeFilter)
    is_question: bool = False


@dataclass(slots=True)
class Found:
    """The best first, with the keys of their passages. `likeness` is how alike passages and query
    are by meaning, by key; not only of those that are hits.
    """

    hits: list[nouns.KnowledgeHit] = field(default_factory=list)
    degraded: list[degradation.Degradation.ValueType] = field(default_factory=list)
    space: Space | None = None
    keys: list[int] = field(default_factory=list)
    likeness: dict[int, float] = field(default_factory=dict)


class Search:
    """Over the words of the library and the vectors beside it."""

    def __init__(self, library: Library, meaning: Meaning, terms: Terms) -> None:
        self._library, self._meaning, self._terms = library, meaning, terms

    async def find(self, wanted: Wanted) -> Found:
        """Nothing found is an empty answer. Raises Unreachable."""
        within, pending = await self._library.search(lambda database: _within(database, wanted))
        if not within.spaces:
            return Found()
        asking = self._asked(wanted, within)
        by_words, (asked, by_meaning) = await asyncio.gather(self._by_words(wanted, within), asking)
        found = Found()
        if wanted.mode != LEXICAL:
            if asked is None:
                found.degraded.append(degradation.DEGRADATION_LEXICAL_ONLY)
                by_words = by_words or await self._words(wanted, within)
            else:
                found.space = asked.space
                if pending:
                    found.degraded.append(degradation.DEGRADATION_VECTORS_PENDING)
        await self._fill(found, by_words, by_meaning, wanted.limit)
        return found

    async def _by_words(self, wanted: Wanted, within: Within) -> list[int]:
        return [] if wanted.mode == VECTOR else await self._words(wanted, within)

    async def _words(self, wanted: Wanted, within: Within) -> list[int]:
        depth = max(self._terms.candidates, wanted.limit)
        query = words.Query(wanted.query, wanted.is_question)
        return await self._library.search(
            lambda database: words.found(database, query, within, depth)
        )

    async def _asked(
        self, wanted: Wanted, within: Within
    ) -> tuple[Embedded | None, list[tuple[int, float]]]:
        """The query's vector, and what is like it; no vector where the answer goes without."""
        if wanted.mode == LEXICAL:
            return None, []
        depth = max(self._terms.candidates, wanted.limit)
        try:
            asked = await self._meaning.asked(wanted.query, self._terms.embed_s_max)
            return asked, await self._meaning.near(asked, within, depth)
        except (SpaceMismatch, Unreachable, Refused):
            return None, []

    async def _fill(
        self,
        found: Found,
        by_words: Sequence[int],
        by_meaning: Sequence[tuple[int, float]],
        limit: int,
    ) -> None:
        found.likeness = dict(by_meaning)
        merged = fused([by_words, list(found.likeness)], constant=_CONSTANT)
        # Some may have gone since they were found.
        chosen = [one.key for one in merged[: 2 * limit]]
        passages = await self._library.search(lambda database: passages_of(database, chosen))
        for one in merged:
            passage = passages.get(one.key)
            if passage is None or len(found.hits) == limit:
                continue
            lexical_rank, vector_rank = one.ranks
            found.hits.append(
                nouns.KnowledgeHit(
                    passage=passage,
                    score=one.score,
                    lexical_rank=lexical_rank,
                    vector_rank=vector_rank,
                )
            )
            found.keys.append(one.key)


def passages_of(database: sqlite3.Connection, keys: Sequence[int]) -> dict[int, nouns.Passage]:
    """Those that are there."""
    found = {}
    for key, space, document, title, uri, headings, *rest in database.execute(
        _PASSAGES, (json.dumps(list(keys)),)
    ):
        start, end, page, content_hash, body = rest
        found[key] = nouns.Passage(
            name=names.passage_name(space, document, key),
            document=names.document_name(space, document),
            title=title,
            headings=headings.split(HEADINGS_BETWEEN) if headings else (),
            uri=uri,
            span=nouns.Span(start_char=start, end_char=end, page=page),
            text=body,
            content_hash=content_hash,
        )
    return found


def _within(database: sqlite3.Connection, wanted: Wanted) -> tuple[Within, bool]:
    """Where to look, and whether something there has no vector yet."""
    spaces = tuple(key for name in wanted.namespaces if (key := space_of(database, name)))
    pending = any(pending_in(database, key) for key in spaces)
    said = wanted.filter
    if said == pb.KnowledgeFilter():
        return Within(spaces), pending
    return Within(spaces, _documents(database, spaces, said)), pending


def _documents(
    database: sqlite3.Connection, spaces: Sequence[int], said: pb.KnowledgeFilter
) -> tuple[int, ...]:
    marks = ", ".join("?" * len(spaces))
    conditions, values = [f"documents.space IN ({marks})"], list[object](spaces)
    if said.documents:
        pairs = [names.Name.parsed(one) for one in said.documents]
        conditions.append(
            "(SELECT name FROM spaces WHERE key = space) || '/' || id IN"
            " (SELECT value FROM json_each(?))"
        )
        values.append(json.dumps([f"{one.namespace}/{one.id}" for one in pairs]))
    if said.subjects:
        conditions.append(
            "key IN (SELECT document FROM document_subjects WHERE folded IN"
            " (SELECT value FROM json_each(?)))"
        )
        values.append(json.dumps([folded(one) for one in said.subjects]))
    if said.uri_prefix:
        conditions.append("substr(uri, 1, ?) = ?")
        values += [len(said.uri_prefix), said.uri_prefix]
    chosen = " ".join(("SELECT key, labels FROM documents WHERE", " AND ".join(conditions)))
    rows = database.execute(chosen, values)
    where = filter_of(said.labels)
    return tuple(key for key, labels in rows if not where or fulfils(_labels(labels), where))


def _labels(said: bytes) -> dict[str, Label]:
    return labels_of(documents.Document.FromString(said).labels)
