"""The way of a request: where it goes, who answers, who does not, within the caller's time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

from services.language.request_coordinator.asked import Answer, Asked, Desk, Piece, Said
from services.language.request_coordinator.tool import TOOLBOX
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.errors import CallerError

_LOGGER = logging.getLogger(__name__)
Desks: TypeAlias = Mapping[nouns.Route.ValueType, Desk]
Event: TypeAlias = pb.Started | Piece | nouns.Shortfall | pb.AskResponse


class Coordinator:
    """Knows the desks, and keeps nothing."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def course(self, asked: Asked) -> AsyncIterator[Event]:
        """Started first, the whole answer last. Raises TransientError NOBODY_ANSWERED."""
        begun_s = stopwatch_s()
        whole = pb.AskResponse(routing=asked.routing, correlation_id=asked.correlation_id)
        yield pb.Started(routing=asked.routing, correlation_id=asked.correlation_id)
        async for said in self._said(asked):
            if isinstance(said, Answer):
                whole.answer, whole.is_answered = said.text, bool(said.text)
                whole.answerer.CopyFrom(said.answerer)
                whole.citations.extend(said.citations)
            elif isinstance(said, nouns.Shortfall):
                whole.shortfalls.append(said)
                yield said
            else:
                yield said
        took_s = stopwatch_s() - begun_s
        whole.took.FromNanoseconds(int(took_s * 1e9))
        _note(whole, took_s)
        yield whole

    async def _said(self, asked: Asked) -> AsyncIterator[Said]:
        """By the route's own desk, or by the documents' where a rule took it for what it is not."""
        try:
            async for said in self._desks[asked.routing.route].answer(asked):
                yield said
        except CallerError as error:
            is_asked = asked.routing.basis == nouns.ROUTE_BASIS_ASKED
            if is_asked or error.reason != errors.ERROR_REASON_ROUTE_UNFIT:
                raise
            yield nouns.Shortfall(service=TOOLBOX, cause=error.message)
            async for said in self._desks[nouns.ROUTE_KNOWLEDGE].answer(asked):
                yield said


def _note(whole: pb.AskResponse, took_s: float) -> None:
    log.event(
        _LOGGER,
        logging.INFO,
        "ask.answered",
        correlation_id=whole.correlation_id,
        route=nouns.Route.Name(whole.routing.route),
        answered_by=whole.answerer.service,
        shortfalls=len(whole.shortfalls),
        duration_ms=round(took_s * 1000, 1),
    )
