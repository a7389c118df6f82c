"""The way of a request: where it goes, who answers, who does not, within the caller's time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from services.language.request_coordinator.asked import Answer, Asked, Desk, Piece, Said
from services.language.request_coordinator.calling import Unanswered
from services.language.request_coordinator.dialogue import Dialogue
from services.language.request_coordinator.tool import TOOLBOX
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.rpc import trace
from tandemkit.rpc.current import SERVING

_LOGGER = logging.getLogger(__name__)
Desks: TypeAlias = Mapping[nouns.Route.ValueType, Desk]
Event: TypeAlias = pb.Started | Piece | nouns.Shortfall | pb.AskResponse

_GUESSED: Final = {nouns.ROUTE_BASIS_CLASSIFIER, nouns.ROUTE_BASIS_DEFAULT}
_SECOND: Final[Mapping[nouns.Route.ValueType, nouns.Route.ValueType]] = {
    nouns.ROUTE_MEMORY: nouns.ROUTE_KNOWLEDGE,
    nouns.ROUTE_TOOL: nouns.ROUTE_KNOWLEDGE,
    nouns.ROUTE_KNOWLEDGE: nouns.ROUTE_CHAT,
}


class Coordinator:
    """Knows the desks, and keeps nothing."""

    def __init__(self, desks: Desks, dialogue: Dialogue) -> None:
        self._desks, self._dialogue = desks, dialogue

    async def course(self, asked: Asked) -> AsyncIterator[Event]:
        """Started first, the whole answer last. Raises TransientError NOBODY_ANSWERED."""
        begun_s = stopwatch_s()
        whole = pb.AskResponse(routing=asked.routing, correlation_id=asked.correlation_id)
        yield pb.Started(routing=asked.routing, correlation_id=asked.correlation_id)
        async for said in self._in_dialogue(asked):
            if isinstance(said, Answer):
                _close(whole, said)
            elif isinstance(said, nouns.Shortfall):
                whole.shortfalls.append(said)
                yield said
            else:
                yield said
        took_s = stopwatch_s() - begun_s
        whole.took.FromNanoseconds(int(took_s * 1e9))
        _note(whole, took_s)
        yield whole

    async def _in_dialogue(self, asked: Asked) -> AsyncIterator[Said]:
        """With what was said before, and kept for what is said next."""
        if not asked.session:
            async for said in self._looked_up(asked):
                yield said
            return
        try:
            before = await self._dialogue.before(asked)
            asked = replace(asked, history=[*before, *asked.history])
        except Unanswered as error:
            yield error.shortfall
        async for said in self._looked_up(asked):
            if isinstance(said, Answer):
                missing = await self._dialogue.keep(asked, said.text)
                if missing is not None:
                    yield missing
            yield said

    async def _looked_up(self, asked: Asked) -> AsyncIterator[Said]:
        """Where nobody of a route that was guessed knows, the next likely one is asked."""
        is_guessed = asked.routing.basis in _GUESSED
        async for said in self._said(asked):
            if not isinstance(said, Answer) or said.text or not is_guessed:
                yield said
                continue
            second = _SECOND.get(asked.routing.route)
            if second is None:
                yield said
                return
            async for other in self._second(second, asked, said):
                yield other

    async def _second(
        self, route: nouns.Route.ValueType, asked: Asked, first: Answer
    ) -> AsyncIterator[Said]:
        """What the first said holds where this one does not answer: it knew of nothing."""
        try:
            async for said in self._desks[route].answer(asked):
                if isinstance(said, Answer):
                    said.answerer.is_fallback = True
                yield said
        except TransientError:
            yield first

    async def _said(self, asked: Asked) -> AsyncIterator[Said]:
        """By the route's own desk, or by the documents' where a rule took it for what it is not."""
        try:
            async for said in self._desks[asked.routing.route].answer(asked):
                yield said
        except CallerError as error:
            basis = asked.routing.basis
            if basis == nouns.ROUTE_BASIS_ASKED or error.reason != errors.ERROR_REASON_ROUTE_UNFIT:
                raise
            if basis == nouns.ROUTE_BASIS_RULE:
                yield nouns.Shortfall(service=TOOLBOX, cause=error.message)
            async for said in self._desks[nouns.ROUTE_KNOWLEDGE].answer(asked):
                yield said


def _close(whole: pb.AskResponse, said: Answer) -> None:
    whole.answer, whole.is_answered = said.text, bool(said.text)
    whole.answerer.CopyFrom(said.answerer)
    whole.citations.extend(said.citations)


def _note(whole: pb.AskResponse, took_s: float) -> None:
    current = SERVING.get()
    log.event(
        _LOGGER,
        logging.INFO,
        "ask.answered",
        correlation_id=whole.correlation_id,
        trace_id=(trace.trace_id(current.traceparent) if current else "") or None,
        route=nouns.Route.Name(whole.routing.route),
        answered_by=whole.answerer.service,
        shortfalls=len(whole.shortfalls),
        duration_ms=round(took_s * 1000, 1),
    )
