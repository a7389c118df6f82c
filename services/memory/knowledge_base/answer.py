"""Questions answered in the words of the passages that are found for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from services.memory.knowledge_base.library import Library
from services.memory.knowledge_base.search import HYBRID, Found, Search, Wanted
from services.memory.knowledge_base.sections import Section, sections
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandemkit.ml.answering.extractive import Source, extracted

_PASSAGES: Final = 40
_NEAR: Final = 5


class Answers:
    """Over a search."""

    def __init__(self, library: Library, search: Search) -> None:
        self._library, self._search = library, search

    async def answer(
        self, question: str, namespaces: tuple[str, ...], within: pb.KnowledgeFilter
    ) -> pb.AskResponse:
        """Raises Unreachable."""
        found = await self._search.find(
            Wanted(question, namespaces, _PASSAGES, HYBRID, within, is_question=True)
        )
        read = await self._library.search(partial(sections, keys=list(found.keys)))
        made = await asyncio.to_thread(extracted, question, _sources(read, found))
        return pb.AskResponse(
            answer=made.text,
            citations=[
                read[one.source].citation(number, one.start, one.text)
                for number, one in enumerate(made.quotes, start=1)
            ],
            kind=citations.ANSWER_KIND_EXTRACTIVE,
            is_answered=bool(made.quotes),
            degraded=found.degraded,
            near=found.hits[:_NEAR],
        )


def _sources(read: Sequence[Section], found: Found) -> list[Source]:
    return [
        Source(
            text=one.text,
            title=one.title,
            headings=one.headings,
            likeness=max(
                (found.likeness[part.key] for part in one.parts if part.key in found.likeness),
                default=None,
            ),
            weight=one.weight,
        )
        for one in read
    ]
