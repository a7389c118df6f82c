"""Answers in quotes of what the fleet knows, where no language model is configured: of a
conversation, the last question is asked of whoever has the documents.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.ml.generation.protocol import (
    Conversation,
    ConversationRefused,
    ModelCard,
    ModelGone,
    Nature,
    Prompt,
    Unsupported,
)
from tandemkit.ml.generation.usage import estimated

MODEL: Final = "quotes"
UNANSWERED: Final = "Nothing that is stored answers this. No language model is configured here."
_QUESTION_CHARS_MAX: Final = 2000
_WORDS: Final = re.compile(r"\S+\s*")
_NATURE: Final = Nature(
    kind=nouns.BACKEND_KIND_EXTRACTIVE,
    address="",
    is_generative=False,
    features=(nouns.MODEL_FEATURE_CHAT, nouns.MODEL_FEATURE_RESUMABLE),
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What somebody who has documents answers; no text where they do not answer the question."""

    text: str
    sources: Sequence[chat.QuotedSource]


# By question and namespace. Raises Unreachable.
Ask = Callable[[str, str], Awaitable[Quoted]]


class QuotesBackend:
    """`tandemkit.ml.generation.protocol.Backend`."""

    nature = _NATURE

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def models(self) -> Sequence[ModelCard]:
        return (ModelCard(MODEL),)

    async def chat(self, model: str, asked: Conversation) -> pb.ChatResponse:
        quoted = await self._quoted(model, asked)
        said = chat.ChatMessage(role=chat.CHAT_ROLE_ASSISTANT, content=quoted.text or UNANSWERED)
        return pb.ChatResponse(
            message=said,
            finish_reason=chat.FINISH_REASON_STOP,
            usage=_usage(asked, said.content),
            sources=quoted.sources,
        )

    async def stream_chat(
        self, model: str, asked: Conversation
    ) -> AsyncGenerator[pb.StreamChatResponse, None]:
        quoted = await self._quoted(model, asked)
        text = quoted.text or UNANSWERED
        for word in _WORDS.findall(text):
            yield pb.StreamChatResponse(text=word)
        yield pb.StreamChatResponse(
            finish_reason=chat.FINISH_REASON_STOP,
            usage=_usage(asked, text),
            sources=quoted.sources,
        )

    async def complete(self, _model: str, _asked: Prompt) -> pb.CompleteResponse:
        raise _unsupported("completion")

    async def stream_complete(
        self, model: str, asked: Prompt
    ) -> AsyncGenerator[pb.StreamCompleteResponse, None]:
        yield pb.StreamCompleteResponse(text=(await self.complete(model, asked)).text)

    async def _quoted(self, model: str, asked: Conversation) -> Quoted:
        if model != MODEL:
            raise ModelGone("quotes have one model", model=model, there=MODEL)
        if asked.tools:
            raise _unsupported("tools")
        if asked.HasField("form"):
            raise _unsupported("JSON")
        return await self._ask(_question(asked), asked.namespace)


def _question(asked: Conversation) -> str:
    """What was asked last."""
    for message in reversed(asked.messages):
        if message.role == chat.CHAT_ROLE_USER and message.content.strip():
            return message.content.strip()[:_QUESTION_CHARS_MAX]
    raise ConversationRefused("nobody asks anything in the conversation", field="messages")


def _usage(asked: Conversation, text: str) -> chat.Usage:
    return estimated("".join(one.content for one in asked.messages), text)


def _unsupported(feature: str) -> Unsupported:
    message = "no language model is configured for this, and quotes of documents cannot do it"
    return Unsupported(message, feature=feature)
