"""Answers by a language model, or by whatever stands in for one where none is configured."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Final

from services.language.request_coordinator.asked import Answer, Asked, Desk, Piece, Said, pieces
from services.language.request_coordinator.calling import Unanswered, nobody_answered
from services.language.request_coordinator.models import SERVICE, Models, heard
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as models
from tandemkit.core.errors import TransientError

_ROLES: Final = {
    pb.SPEAKER_USER: chat.CHAT_ROLE_USER,
    pb.SPEAKER_ASSISTANT: chat.CHAT_ROLE_ASSISTANT,
    pb.SPEAKER_SYSTEM: chat.CHAT_ROLE_SYSTEM,
}
_CHARS_MAX: Final = 60_000
# Who greets a fleet that has only quotes is told what there is to ask, and no page with that word.
_GREETING: Final = re.compile(
    r"(?i)^\W*(?:hello|hi|hey|good (?:morning|day|evening))(?:\W+(?:there|tandem))?\W*$"
)
_WHAT_THERE_IS: Final = "What can you do?"


class LanguageModel:
    """Streams. Documents answer where no model can be asked, and it is said that they stand in."""

    def __init__(self, models: Models, documents: Desk) -> None:
        self._models, self._documents = models, documents

    async def answer(self, asked: Asked) -> AsyncIterator[Said]:
        told = _Told()
        try:
            async for part in self._models.parts(asked, _messages(asked)):
                told.take(part)
                # Quotes are heard when it is known that there are any: "no" is no answer.
                if part.text and told.answer.answerer.is_generative:
                    yield Piece(part.text)
        except Unanswered as error:
            yield error.shortfall
            if not told.text:
                async for said in self._instead(asked, error):
                    yield said
                return
        if not told.answer.answerer.is_generative and _GREETING.match(asked.text):
            async for said in self._standing_in(asked):
                yield said
            return
        if not told.answer.answerer.is_generative:
            told.answer.text = told.text if told.answer.citations else ""
            for piece in pieces(told.answer.text):
                yield piece
        yield told.answer

    async def _instead(self, asked: Asked, missing: Unanswered) -> AsyncIterator[Said]:
        try:
            async for said in self._standing_in(asked):
                yield said
        except TransientError as error:
            raise nobody_answered([missing]) from error

    async def _standing_in(self, asked: Asked) -> AsyncIterator[Said]:
        is_greeting = _GREETING.match(asked.text) is not None
        wanted = replace(asked, text=_WHAT_THERE_IS) if is_greeting else asked
        async for said in self._documents.answer(wanted):
            if isinstance(said, Answer):
                said.answerer.is_fallback = True
            yield said


class _Told:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.text = ""
        self.answer = Answer(answerer=nouns.Answerer(service=SERVICE))

    def take(self, part: models.StreamChatResponse) -> None:
        self.text += part.text
        self.answer.text = self.text
        if part.HasField("answerer"):
            self.answer.answerer = heard(part.answerer)
        if part.sources:
            self.answer.citations = _citations(part.sources)


def _messages(asked: Asked) -> list[chat.ChatMessage]:
    """As much of what was said before as fits, the latest of it, and what is asked now."""
    messages = [chat.ChatMessage(role=chat.CHAT_ROLE_USER, content=asked.text)]
    left = _CHARS_MAX - len(asked.text)
    for turn in reversed(asked.history):
        left -= len(turn.text)
        if left < 0:
            break
        messages.append(chat.ChatMessage(role=_ROLES[turn.speaker], content=turn.text))
    return messages[::-1]


def _citations(sources: Iterable[chat.QuotedSource]) -> list[nouns.Citation]:
    return [
        nouns.Citation(
            number=one.number,
            name=one.name,
            title=one.headings[0] if one.headings else "",
            uri=one.uri,
            quote=one.quote,
            start_char=one.start_char,
            end_char=one.end_char,
            headings=one.headings,
        )
        for one in sources
    ]
