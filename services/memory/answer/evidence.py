"""What is stored that may answer a question: from documents and from memories, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandemkit.ml.ranking.fusion import fused
from tandemkit.rpc.remote import CallFailed, calling

EVERYWHERE: Final = (pb.ANSWER_SOURCE_KNOWLEDGE, pb.ANSWER_SOURCE_MEMORY)
_HITS: Final = 12
_LACKS: Final[Mapping[degradation.Degradation.ValueType, pb.AnswerLack.ValueType]] = {
    degradation.DEGRADATION_LEXICAL_ONLY: pb.ANSWER_LACK_LEXICAL_ONLY,
    degradation.DEGRADATION_VECTORS_PENDING: pb.ANSWER_LACK_VECTORS_PENDING,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage or a memory. `start` is where its text begins in what its span counts in."""

    name: str
    text: str
    score: float = 0.0
    title: str = ""
    headings: tuple[str, ...] = ()
    uri: str = ""
    start: int = 0
    page: int = 0
    time_ns: int | None = None


@dataclass(slots=True)
class Gathered:
    """`is_heard` is whether any source answered."""

    evidence: list[Evidence] = field(default_factory=list)
    shortfalls: list[pb.AnswerShortfall] = field(default_factory=list)
    is_heard: bool = False


def unanswered(error: CallFailed) -> str:
    """Why an agent has no part in an answer."""
    return f"it gave no answer ({error.found.code.name}: {error.found.message})"


class Sources:
    """The agents that are asked."""

    def __init__(
        self,
        documents: knowledge_rpc.KnowledgeBaseServiceAsyncStub,
        memories: memory_rpc.MemoryOrchestratorServiceAsyncStub,
    ) -> None:
        self._documents, self._memories = documents, memories

    async def gather(
        self, request: pb.AnswerQuestionRequest, namespace: str, within_s: float
    ) -> Gathered:
        """All that answer within the time; who does not is a shortfall."""
        asked = request.sources or EVERYWHERE
        gathered = Gathered()
        found = await asyncio.gather(
            *(self._asked(source, request, namespace, within_s, gathered) for source in asked)
        )
        known = {one.name: one for hits in found for one in hits}
        ranked = fused([[one.name for one in hits] for hits in found])
        gathered.evidence = [replace(known[one.key], score=one.score) for one in ranked]
        return gathered

    async def _asked(
        self,
        source: pb.AnswerSource.ValueType,
        request: pb.AnswerQuestionRequest,
        namespace: str,
        within_s: float,
        gathered: Gathered,
    ) -> Sequence[Evidence]:
        ask = self._passages if source == pb.ANSWER_SOURCE_KNOWLEDGE else self._recalled
        try:
            with calling():
                found, degraded = await ask(request, namespace, within_s)
        except CallFailed as error:
            lack, cause = pb.ANSWER_LACK_SOURCE_UNREACHABLE, unanswered(error)
            gathered.shortfalls.append(pb.AnswerShortfall(lack=lack, source=source, cause=cause))
            return ()
        gathered.is_heard = True
        gathered.shortfalls += (
            pb.AnswerShortfall(lack=_LACKS[one], source=source) for one in degraded
        )
        return found

    async def _passages(
        self, request: pb.AnswerQuestionRequest, namespace: str, within_s: float
    ) -> tuple[list[Evidence], Iterable[degradation.Degradation.ValueType]]:
        wanted = knowledge.SearchKnowledgeRequest(
            # Unnamed, it is the default namespace with the documents that Tandem comes with.
            namespace=request.namespace and namespace,
            query=request.question,
            limit=_HITS,
        )
        answer = await self._documents.SearchKnowledge(wanted, timeout=within_s)
        found = [
            Evidence(
                hit.passage.name,
                hit.passage.text,
                title=hit.passage.title,
                headings=tuple(hit.passage.headings),
                uri=hit.passage.uri,
                start=hit.passage.span.start_char,
                page=hit.passage.span.page,
            )
            for hit in answer.hits
        ]
        return found, answer.degraded

    async def _recalled(
        self, request: pb.AnswerQuestionRequest, namespace: str, within_s: float
    ) -> tuple[list[Evidence], Iterable[degradation.Degradation.ValueType]]:
        wanted = memory.SearchMemoriesRequest(
            namespace=namespace, query=request.question, limit=_HITS, subjects=request.subjects
        )
        answer = await self._memories.SearchMemories(wanted, timeout=within_s)
        found = [
            Evidence(
                hit.memory.name,
                hit.memory.text,
                uri=hit.memory.source.uri,
                time_ns=hit.memory.learned_at.ToNanoseconds(),
            )
            for hit in answer.hits
        ]
        return found, answer.degraded
