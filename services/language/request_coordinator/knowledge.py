"""Answers out of documents, and out of memories beside them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Final

from services.language.request_coordinator.asked import (
    EXTRACTIVE,
    Answer,
    Asked,
    Said,
    pieces,
    share_s,
)
from services.language.request_coordinator.calling import (
    called,
    gathered,
    headers,
    nobody_answered,
)
from services.language.request_coordinator.writing import Writer
from tandem.language.v1 import answer_pb2 as nouns
from tandem.memory.v1 import answer_service_pb2 as answering
from tandem.memory.v1 import answer_service_pb2_grpc as answering_rpc
from tandem.memory.v1 import citation_pb2 as citation
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc

DOCUMENTS: Final = "tandem.memory.v1.KnowledgeBaseService"
MEMORIES: Final = "tandem.memory.v1.AnswerService"
# Of the time that is left; the rest is for the answer's own way back, or a language model.
_SHARE: Final = 0.6
_WITHIN_S: Final = 10.0
_QUESTION_CHARS_MAX: Final = 2000
# Who, when, and what is somebody's own: people tell that, and documents seldom do.
_PERSONAL: Final = re.compile(r"(?i)^\W*(?:when|who|whose)\b|^(?!\W*how\b).*\b(?:my|our)\b")
_MARK: Final = re.compile(r"\[(\d{1,3})\]")
_LACKS: Final = {
    answering.ANSWER_LACK_SOURCE_UNREACHABLE: "a source that it asks did not answer",
    answering.ANSWER_LACK_LEXICAL_ONLY: "it searched by words and not by meaning",
    answering.ANSWER_LACK_VECTORS_PENDING: "some of what it has is not found by meaning yet",
    answering.ANSWER_LACK_MODEL_FAILED: "its language model failed",
}
_DEGRADED: Final = {
    degradation.DEGRADATION_LEXICAL_ONLY: _LACKS[answering.ANSWER_LACK_LEXICAL_ONLY],
    degradation.DEGRADATION_VECTORS_PENDING: _LACKS[answering.ANSWER_LACK_VECTORS_PENDING],
}


class Knowledge:
    """Both are asked at once. What documents say stands before what was remembered, and behind it
    where somebody asks who, when, or for something of their own. The answer is by whoever has the
    first word in it.
    """

    def __init__(
        self,
        documents: knowledge_rpc.KnowledgeBaseServiceAsyncStub,
        answers: answering_rpc.AnswerServiceAsyncStub,
        writer: Writer,
    ) -> None:
        self._documents, self._answers, self._writer = documents, answers, writer

    async def answer(self, asked: Asked) -> AsyncIterator[Said]:
        within_s = share_s(_SHARE, _WITHIN_S)
        (heard, missing), has_hand = await asyncio.gather(
            gathered(
                partial(self._of_documents, asked, within_s),
                partial(self.of_memories, asked, within_s),
            ),
            self._writer.has_hand(asked),
        )
        if not heard:
            raise nobody_answered(missing)
        for one in missing:
            yield one.shortfall
        for _answer, shortfalls in heard:
            for shortfall in shortfalls:
                yield shortfall
        answers = [answer for answer, _shortfalls in heard]
        if _PERSONAL.search(asked.text):
            answers.sort(key=lambda one: one.answerer.service != MEMORIES)
        whole = _together(answers)
        if whole.text and has_hand:
            async for said in self._writer.written(asked, whole):
                yield said
            return
        for piece in pieces(whole.text):
            yield piece
        yield whole

    async def of_memories(
        self, asked: Asked, within_s: float
    ) -> tuple[Answer, list[nouns.Shortfall]]:
        """What memories say, and what that does without. Raises Unanswered."""
        request = answering.AnswerQuestionRequest(
            namespace=asked.namespace,
            question=asked.text[:_QUESTION_CHARS_MAX],
            sources=[answering.ANSWER_SOURCE_MEMORY],
        )
        call = partial(self._answers.AnswerQuestion, request, metadata=headers(asked))
        said = await called(MEMORIES, lambda timeout: call(timeout=timeout), within_s)
        answer = Answer(
            said.answer,
            nouns.Answerer(
                service=MEMORIES,
                backend=EXTRACTIVE if said.kind != citation.ANSWER_KIND_GENERATED else "writer",
                model=said.model,
                is_generative=said.kind == citation.ANSWER_KIND_GENERATED,
            ),
            _citations(said.citations),
        )
        causes = (one.cause or _LACKS.get(one.lack, "") for one in said.shortfalls)
        return answer, _shortfalls(MEMORIES, causes)

    async def _of_documents(
        self, asked: Asked, within_s: float
    ) -> tuple[Answer, list[nouns.Shortfall]]:
        request = knowledge.AskRequest(
            namespace=asked.namespace, question=asked.text[:_QUESTION_CHARS_MAX]
        )
        call = partial(self._documents.Ask, request, metadata=headers(asked))
        said = await called(DOCUMENTS, lambda timeout: call(timeout=timeout), within_s)
        answerer = nouns.Answerer(service=DOCUMENTS, backend=EXTRACTIVE)
        answer = Answer(said.answer, answerer, _citations(said.citations))
        causes = (_DEGRADED.get(one, "") for one in said.degraded)
        return answer, _shortfalls(DOCUMENTS, causes)


def _together(answers: Sequence[Answer]) -> Answer:
    """One behind the other, cited by numbers that go on."""
    told = [one for one in answers if one.text]
    whole = told[0] if told else answers[0]
    for other in told[1:]:
        count = len(whole.citations)
        text = _renumbered(other.text, count)
        for citation_of in other.citations:
            citation_of.number += count
        whole.text = f"{whole.text}\n\n{text}"
        whole.citations = [*whole.citations, *other.citations]
    return whole


def _renumbered(text: str, count: int) -> str:
    return _MARK.sub(lambda mark: f"[{int(mark[1]) + count}]", text)


def _shortfalls(service: str, causes: Iterable[str]) -> list[nouns.Shortfall]:
    return [nouns.Shortfall(service=service, cause=one) for one in dict.fromkeys(causes) if one]


def _citations(said: Sequence[citation.Citation]) -> list[nouns.Citation]:
    return [
        nouns.Citation(
            number=one.number,
            name=one.name,
            title=one.headings[0] if one.headings else "",
            uri=one.uri,
            quote=one.quote,
            start_char=one.span.start_char,
            end_char=one.span.end_char,
            headings=one.headings,
        )
        for one in said
    ]
