"""Questions answered in the words of the passages that are found for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.memory.knowledge_base.search import HYBRID, Found, Search, Wanted
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import passage_pb2 as nouns
from tandemkit.ml.answering.extractive import Answer, Source, extracted

_PASSAGES: Final = 12
_NEAR: Final = 5


class Answers:
    """Over a search."""

    def __init__(self, search: Search) -> None:
        self._search = search

    async def answer(
        self, question: str, namespaces: tuple[str, ...], within: pb.KnowledgeFilter
    ) -> pb.AskResponse:
        """Raises Unreachable."""
        found = await self._search.find(Wanted(question, namespaces, _PASSAGES, HYBRID, within))
        passages = [one.passage for one in found.hits]
        made = await asyncio.to_thread(extracted, question, _sources(found))
        return pb.AskResponse(
            answer=made.text,
            citations=_citations(made, passages),
            kind=citations.ANSWER_KIND_EXTRACTIVE,
            is_answered=bool(made.quotes),
            degraded=found.degraded,
            near=found.hits[:_NEAR],
        )


def _sources(found: Found) -> list[Source]:
    return [
        Source(
            text=one.passage.text,
            title=one.passage.title,
            headings=tuple(one.passage.headings),
            uri=one.passage.uri,
            likeness=found.likeness.get(one.passage.name),
        )
        for one in found.hits
    ]


def _citations(made: Answer, passages: Sequence[nouns.Passage]) -> list[citations.Citation]:
    cited = []
    for number, quote in enumerate(made.quotes, start=1):
        passage = passages[quote.source]
        start = passage.span.start_char + quote.start
        span = nouns.Span(
            start_char=start, end_char=start + len(quote.text), page=passage.span.page
        )
        cited.append(
            citations.Citation(
                number=number,
                name=passage.name,
                uri=passage.uri,
                span=span,
                quote=quote.text,
                headings=dict.fromkeys(one for one in (passage.title, *passage.headings) if one),
            )
        )
    return cited
