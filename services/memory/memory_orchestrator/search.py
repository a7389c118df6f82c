"""Finding memories: by words and meaning in the index, and then by the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.place import Place, namespace_of
from services.memory.memory_orchestrator.questions import Questions
from services.memory.memory_orchestrator.strength import Fading
from services.memory.memory_orchestrator.uses import Uses
from services.memory.memory_orchestrator.wanted import Wanted
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.ml.ranking.fusion import Fused, fused
from tandemkit.rpc.paging import fitting

LIMIT, LIMIT_MAX = 10, 100
# So many of each ranking are fused for each that is wanted, and never fewer than the second.
_WIDER, _MOST_MIN = 3, 50
WEIGHT: Final = 0.2


@dataclass(frozen=True, slots=True)
class Ranking:
    """What strength counts, and who notes what was found."""

    fading: Fading
    uses: Uses
    weight: float


class Search:
    """Raises what the store raises."""

    def __init__(
        self, book: Book, indices: Indices, questions: Questions, ranking: Ranking, clock: Clock
    ) -> None:
        self._book, self._indices, self._questions = book, indices, questions
        self._ranking, self._fading, self._clock = ranking, ranking.fading, clock
        self._uses = ranking.uses

    async def find(self, request: pb.SearchMemoriesRequest) -> pb.SearchMemoriesResponse:
        namespace, now = namespace_of(request.namespace), self._clock.now()
        if self._indices.of(namespace) is None:
            # Where nothing is remembered, nothing is embedded.
            await self._indices.follow()
            if self._indices.of(namespace) is None:
                return pb.SearchMemoriesResponse()
        limit = min(request.limit or LIMIT, LIMIT_MAX)
        wanted = Wanted.of(request, now)
        question = await self._questions.of(request.query, wanted, max(limit * _WIDER, _MOST_MIN))
        answer = await self._indices.ask(namespace, question)
        found = pb.SearchMemoriesResponse()
        if question.vector is None:
            found.degraded.append(degradation.DEGRADATION_LEXICAL_ONLY)
        if answer is None:
            return found
        found.pending = answer.pending
        if answer.pending:
            found.degraded.append(degradation.DEGRADATION_VECTORS_PENDING)
        ranked = fused([answer.by_words, answer.by_meaning])
        records = await self._book.found([Place(namespace, one.key) for one in ranked])
        memories = {place.id: record.memory for place, record in records.items()}
        memories = {one: m for one, m in memories.items() if wanted.fits(m, self._fading, now)}
        found.hits.extend(fitting(self._hits(ranked, memories, now)[:limit]))
        self._uses.note(Place.of(hit.memory.name) for hit in found.hits)
        return found

    def _hits(
        self, ranked: Iterable[Fused[str]], memories: Mapping[str, nouns.Memory], now: datetime
    ) -> list[nouns.MemoryHit]:
        hits = []
        for one in ranked:
            if (memory := memories.get(one.key)) is not None:
                memory.strength = self._fading.strength(memory, now)
                weight = self._ranking.weight
                score = one.score * (1.0 - weight + weight * memory.strength)
                by_words, by_meaning = one.ranks
                hit = nouns.MemoryHit(score=score, lexical_rank=by_words, vector_rank=by_meaning)
                hit.memory.CopyFrom(memory)
                hits.append(hit)
        return sorted(hits, key=lambda hit: -hit.score)
