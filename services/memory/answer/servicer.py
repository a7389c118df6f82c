"""Questions to answers. Contract: tandem.memory.v1.AnswerService."""

from __future__ import annotations

import asyncio
from typing import Final

from services.memory.answer.context import Context as Packed
from services.memory.answer.context import Packer, Part
from services.memory.answer.evidence import Sources, unanswered
from services.memory.answer.writing import Writer
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2_grpc as rpc
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import passage_pb2 as nouns
from tandemkit.core.errors import TransientError
from tandemkit.hosting import access
from tandemkit.ml.answering.extractive import Source, extracted
from tandemkit.reach.failure import Refused
from tandemkit.rpc.context import Context, time_left_s
from tandemkit.rpc.remote import CallFailed

# Of the caller's time: what is left is for packing and answering.
_RETRIEVAL_SHARE: Final = 0.5
_RETRIEVAL_S_MAX: Final = 5.0
# Of what is left then: who waits for a model that is slow still gets quotes.
_WRITING_SHARE: Final = 0.7
_TOKENS: Final = 1500
_RETRY_S: Final = 1.0


class Answers(rpc.AnswerServiceServicer):
    def __init__(self, sources: Sources, packer: Packer, writer: Writer | None) -> None:
        self._sources, self._packer, self._writer = sources, packer, writer

    async def AnswerQuestion(
        self, request: pb.AnswerQuestionRequest, context: Context
    ) -> pb.AnswerQuestionResponse:
        namespace = access.check(request.namespace, access.Right.READ)
        left_s = time_left_s(context) or _RETRIEVAL_S_MAX
        within_s = min(_RETRIEVAL_S_MAX, left_s * _RETRIEVAL_SHARE)
        gathered = await self._sources.gather(request, namespace, within_s)
        if not gathered.is_heard:
            reason = errors.ERROR_REASON_SOURCES_UNREACHABLE
            causes = "; ".join(one.cause for one in gathered.shortfalls)
            message = "no source could be asked, so nothing is known of what they have"
            raise TransientError(reason, message, retry_after_s=_RETRY_S, causes=causes)
        packed = await self._packer.pack(
            request.question, gathered.evidence, request.tokens_max or _TOKENS
        )
        answer = pb.AnswerQuestionResponse(
            shortfalls=gathered.shortfalls, context_tokens=packed.tokens
        )
        rest_s = time_left_s(context)
        writing_s = None if rest_s is None else rest_s * _WRITING_SHARE
        if not await self._is_written(request.question, packed, answer, writing_s):
            await _quote(request.question, packed, answer)
        return answer

    async def _is_written(
        self,
        question: str,
        packed: Packed,
        answer: pb.AnswerQuestionResponse,
        within_s: float | None,
    ) -> bool:
        """Whether a model wrote the answer, or found that there is none."""
        if self._writer is None or not packed.parts:
            return False
        try:
            async with asyncio.timeout(within_s):
                written = await self._writer.write(question, packed)
        except TimeoutError:
            cause = "the model gives no answer in the time of the call"
            answer.shortfalls.add(lack=pb.ANSWER_LACK_MODEL_FAILED, cause=cause)
            return False
        except (CallFailed, Refused) as error:
            cause = unanswered(error) if isinstance(error, CallFailed) else str(error)
            answer.shortfalls.add(lack=pb.ANSWER_LACK_MODEL_FAILED, cause=cause)
            return False
        answer.kind, answer.model = citations.ANSWER_KIND_GENERATED, written.model
        answer.answer, answer.is_answered = written.text, bool(written.cited)
        for number in written.cited:
            part = packed.parts[number - 1]
            answer.citations.append(_citation(number, part, 0, part.text))
        return True


async def _quote(question: str, packed: Packed, answer: pb.AnswerQuestionResponse) -> None:
    made = await asyncio.to_thread(extracted, question, _quotable(packed))
    answer.kind = citations.ANSWER_KIND_EXTRACTIVE
    answer.answer, answer.is_answered = made.text, bool(made.quotes)
    for number, quote in enumerate(made.quotes, start=1):
        part = packed.parts[quote.source]
        answer.citations.append(_citation(number, part, quote.start, quote.text))


def _quotable(packed: Packed) -> list[Source]:
    return [Source(one.text, one.evidence.title, one.evidence.headings) for one in packed.parts]


def _citation(number: int, part: Part, start: int, quote: str) -> citations.Citation:
    """Of what stands in the part's text from `start` on."""
    start += part.start
    above = (part.evidence.title, *part.evidence.headings)
    return citations.Citation(
        number=number,
        name=part.evidence.name,
        uri=part.evidence.uri,
        span=nouns.Span(start_char=start, end_char=start + len(quote), page=part.evidence.page),
        quote=quote,
        headings=dict.fromkeys(one for one in above if one),
    )
