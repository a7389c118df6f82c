"""Messages to wishes and back. Contract: tandem.memory.v1.ContextAssemblerService."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from services.memory.context_assembler.packing import Drop, Order, Packed, Weights, Wish, packed
from services.memory.context_assembler.windows import Candidate, Window
from tandem.memory.v1 import context_assembler_service_pb2 as pb
from tandem.memory.v1 import context_assembler_service_pb2_grpc as rpc
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.ml.text.tokens import estimated_tokens
from tandemkit.rpc.context import Context

# Beyond that it is no matter of a millisecond, and the loop of the host is everybody's.
_INLINE_CHARS_MAX: Final = 4_000
_CHARS_MAX: Final = 1_048_576
_WINDOW_TOKENS, _UNCUT = 160, -1
_HALF_LIFE_S: Final = 86_400.0
_ORDERS: Mapping[pb.ContextOrder.ValueType, Order] = {
    pb.CONTEXT_ORDER_OLDEST_FIRST: Order.OLDEST_FIRST,
    pb.CONTEXT_ORDER_BEST_OUTSIDE: Order.BEST_OUTSIDE,
}
_CAUSES: Mapping[Drop, pb.ContextDropCause.ValueType] = {
    Drop.NO_ROOM: pb.CONTEXT_DROP_CAUSE_NO_ROOM,
    Drop.SAID_ALREADY: pb.CONTEXT_DROP_CAUSE_SAID_ALREADY,
    Drop.IRRELEVANT: pb.CONTEXT_DROP_CAUSE_IRRELEVANT,
}


class Contexts(rpc.ContextAssemblerServiceServicer):
    async def AssembleContext(
        self, request: pb.AssembleContextRequest, _context: Context
    ) -> pb.AssembleContextResponse:
        chars = sum(len(one.text) for one in request.candidates)
        if chars > _CHARS_MAX:
            reason = errors.ERROR_REASON_CANDIDATES_TOO_LONG
            message = "the candidates are too long together; send fewer, or shorter ones"
            raise CallerError(
                reason, message, field="candidates", chars=chars, chars_max=_CHARS_MAX
            )
        wish = _wish(request)
        if chars <= _INLINE_CHARS_MAX:
            return _answer(wish, packed(wish))
        return _answer(wish, await asyncio.to_thread(packed, wish))


def _wish(request: pb.AssembleContextRequest) -> Wish:
    numbers: dict[str, int] = {}
    for number, one in enumerate(request.candidates):
        if numbers.setdefault(one.name, number) != number:
            reason = errors.ERROR_REASON_CANDIDATE_AMBIGUOUS
            message = "two candidates have one name"
            raise CallerError(reason, message, field="candidates", candidate=one.name)
    window_max = request.window_tokens_max or _WINDOW_TOKENS
    half_life_s = request.half_life.ToTimedelta().total_seconds()
    return Wish(
        request.query,
        list(_candidates(request)),
        request.tokens_max,
        _weights(request),
        half_life_s or _HALF_LIFE_S,
        None if window_max == _UNCUT else window_max,
        _ORDERS.get(request.order, Order.BEST_FIRST),
        _previous(request, numbers),
    )


def _candidates(request: pb.AssembleContextRequest) -> Iterator[Candidate]:
    moments = [one.time.ToNanoseconds() for one in request.candidates if one.HasField("time")]
    now = request.now.ToNanoseconds() if request.HasField("now") else max(moments, default=0)
    for one in request.candidates:
        age_s = (now - one.time.ToNanoseconds()) / 1e9 if one.HasField("time") else None
        yield Candidate(one.name, one.text, one.score, age_s, one.is_pinned)


def _weights(request: pb.AssembleContextRequest) -> Weights:
    if not request.HasField("weights"):
        return Weights()
    said = request.weights
    return Weights(said.relevance, said.recency, said.diversity, said.stability)


def _previous(request: pb.AssembleContextRequest, numbers: Mapping[str, int]) -> list[Window]:
    """As far as its candidates are here again: behind one that is not, nothing stands as it did."""
    known: list[Window] = []
    for one in request.previous:
        if one.name not in numbers:
            break
        known.append(Window(numbers[one.name], one.start_char, one.end_char))
    return known


def _answer(wish: Wish, made: Packed) -> pb.AssembleContextResponse:
    answer = pb.AssembleContextResponse()
    told: list[str] = []
    for number, part in enumerate(made.parts, start=1):
        candidate = wish.candidates[part.window.candidate]
        text = candidate.text[part.window.start : part.window.end]
        told.append(f"[{number}] {text}")
        tokens = estimated_tokens(told[-1])
        window = pb.ContextWindow(
            name=candidate.name, start_char=part.window.start, end_char=part.window.end
        )
        answer.parts.add(number=number, window=window, text=text, tokens=tokens, score=part.score)
        answer.tokens += tokens
        answer.stable_tokens += tokens if part.is_stable else 0
    answer.text = "\n\n".join(told)
    for candidate_number, drop in sorted(made.dropped.items()):
        name = wish.candidates[candidate_number].name
        answer.dropped.add(name=name, cause=_CAUSES[drop])
    return answer
