"""Passages by their meaning: those whose vectors are like a question's."""

from __future__ import annotations

from services.memory.knowledge_base.ports import Embedded, Embedder
from services.memory.knowledge_base.vectors import Vectors
from services.memory.knowledge_base.words import Within
from tandemkit.storage.vectors.protocol import (
    CHOICES_MAX,
    HITS_MAX,
    CollectionMissing,
    Condition,
    Hit,
    OneOf,
    Query,
)


class Meaning:
    """Asks an embedder for vectors and the store for what is near them."""

    def __init__(self, vectors: Vectors, embedder: Embedder) -> None:
        self._vectors, self._embedder = vectors, embedder

    async def asked(self, text: str, time_s: float) -> Embedded:
        """The vector of a question. Raises Unreachable where nobody makes it in time."""
        return await self._embedder.question(text, time_s)

    async def near(self, asked: Embedded, within: Within, limit: int) -> list[tuple[int, float]]:
        """Keys of the passages that are most like it, with how much. Raises Unreachable; and
        SpaceMismatch while those that there are were embedded otherwise.
        """
        await self._vectors.opening()
        collection = await self._vectors.current(asked.space)
        if collection is None or within.documents == ():
            return []
        where = [Condition("space", OneOf(tuple(map(str, within.spaces))))]
        few = within.documents is not None and len(within.documents) <= CHOICES_MAX
        if few:
            where.append(Condition("document", OneOf(tuple(map(str, within.documents or ())))))
        # Too many to be named are sorted out behind the search.
        count = limit if few or within.documents is None else HITS_MAX
        wanted = Query(asked.vectors[0], asked.space, count, tuple(where))
        try:
            hits = await collection.search(wanted)
        except CollectionMissing:
            return []
        allowed = None if few or within.documents is None else set(map(str, within.documents))
        found = [
            (int(one.id), one.score)
            for one in hits
            if allowed is None or _document_of(one) in allowed
        ]
        return found[:limit]


def _document_of(hit: Hit) -> str:
    said = hit.labels.get("document", ())
    return said[0] if isinstance(said, tuple) and said else ""
