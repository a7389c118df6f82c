"""An answer that a language model writes from what was found, each sentence with the number of what
it stands on. What is quoted stays beside it, for who wants to see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from services.language.request_coordinator.asked import Answer, Asked, Piece, Said, pieces
from services.language.request_coordinator.calling import Unanswered
from services.language.request_coordinator.models import SERVICE, Models, heard
from tandem.language.v1 import answer_pb2 as nouns
from tandem.models.v1 import chat_pb2 as chat
from tandemkit.ml.answering.generated import NOT_ANSWERED, cited, conversation, without_strangers

_ROLES: Final = {"system": chat.CHAT_ROLE_SYSTEM, "user": chat.CHAT_ROLE_USER}
# A mark such as `[12]`, whose end may not have come yet.
_MARK_CHARS_MAX: Final = 6
_UNVOUCHED: Final = "its answer names none of the sources, so nothing vouches for it"


class Writer:
    """Over the agent of models."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def has_hand(self, asked: Asked) -> bool:
        """Whether there is a language model to write."""
        return await self._models.has_language_model(asked)

    async def written(self, asked: Asked, found: Answer) -> AsyncIterator[Said]:
        """The answer as it is written, or what was found, where nobody writes."""
        manuscript = _Manuscript(len(found.citations))
        answerer = nouns.Answerer()
        try:
            async for part in self._models.parts(asked, _messages(asked, found)):
                if part.HasField("answerer"):
                    answerer = heard(part.answerer)
                # What stands in for a language model was not meant to be given its order.
                if answerer.is_generative and (text := manuscript.add(part.text)):
                    yield Piece(text)
        except Unanswered as error:
            yield error.shortfall
        if text := manuscript.end():
            yield Piece(text)
        if not manuscript.told and not manuscript.denies:
            found.answerer.is_fallback = True
            for piece in pieces(found.text):
                yield piece
            yield found
            return
        numbers = manuscript.cited
        if manuscript.told and not numbers:
            yield nouns.Shortfall(service=SERVICE, cause=_UNVOUCHED)
        named = [one for one in found.citations if one.number in numbers]
        yield Answer(manuscript.told, answerer, named)


class _Manuscript:
    """What may be passed on of what is written: no mark of a source that there is not, and nothing
    where the sources do not answer.
    """

    def __init__(self, sources: int) -> None:
        self._sources, self._held = sources, ""
        self.told, self.denies = "", False

    @property
    def cited(self) -> list[int]:
        return cited(self.told, self._sources)

    def add(self, text: str) -> str:
        """What may be told now."""
        self._held += text
        if not self.told and not self._may_begin():
            return ""
        at = self._held.rfind("[")
        is_open = at >= 0 and "]" not in self._held[at:] and len(self._held) - at < _MARK_CHARS_MAX
        return self._tell(at if is_open else len(self._held))

    def end(self) -> str:
        return "" if self.denies else self._tell(len(self._held))

    def _may_begin(self) -> bool:
        begun = self._held.strip()
        self.denies = self.denies or begun.startswith(NOT_ANSWERED)
        return not (self.denies or NOT_ANSWERED.startswith(begun))

    def _tell(self, count: int) -> str:
        """As much of what is held."""
        said, self._held = self._held[:count], self._held[count:]
        kept = _stripped(said, self._sources)
        self.told += kept
        return kept


def _stripped(said: str, sources: int) -> str:
    """Without strangers, and with the blanks at both ends that pieces of a text have."""
    return without_strangers(f"<{said}>", sources)[1:-1]


def _messages(asked: Asked, found: Answer) -> list[chat.ChatMessage]:
    texts = (
        f"[{one.number}] {' > '.join(one.headings) or one.name}\n{one.quote}"
        for one in found.citations
    )
    return [
        chat.ChatMessage(role=_ROLES[one["role"]], content=one["content"])
        for one in conversation(asked.text, "\n\n".join(texts))
    ]
