"""What every backend of language models promises. docs/design/models.md says how each keeps it.

One conformance suite, tests/contract/models, holds all backends to these sentences. Requests and
answers are the contract's own messages, so that nothing is converted twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.reach.failure import Refused

# The two of each are alike in all that a backend looks at.
Conversation: TypeAlias = pb.ChatRequest | pb.StreamChatRequest
Prompt: TypeAlias = pb.CompleteRequest | pb.StreamCompleteRequest
Feature: TypeAlias = nouns.ModelFeature.ValueType


class KeyMissing(Refused):
    """The backend's key has no value."""


class ContextTooLong(Refused):
    """The model takes fewer tokens."""


class SchemaRefused(Refused):
    """A schema is none, or one that the backend does not know."""


class ConversationRefused(Refused):
    """A message cannot stand where it stands."""


class ModelGone(Refused):
    """The backend has no model of that name."""


class Unsupported(Refused):
    """The backend has not what the request asks for."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as its backend calls it. `context_tokens_max` is 0 where that does not say."""

    name: str
    context_tokens_max: int = 0


@dataclass(frozen=True, slots=True)
class Nature:
    """What is true of a backend for as long as it lives. `address` is empty within the fleet."""

    kind: nouns.BackendKind.ValueType
    address: str
    is_generative: bool
    features: Sequence[Feature]


class Backend(Protocol):
    """One place with models. Whoever stops waiting for an answer, or closes a stream, ends the work
    for it there.

    All methods raise Unreachable where the same may work in a while, of the kind Passing where
    another attempt is worth its price, and Refused or one of its kinds above where it will not.
    Answers have no answerer, id, time or token: those are the agent's to say. A stream's first part
    may come late; what was delivered stays true when a later one fails.
    """

    @property
    def nature(self) -> Nature:
        """What it is."""

    async def models(self) -> Sequence[ModelCard]:
        """Those that it has now."""

    async def chat(self, model: str, asked: Conversation) -> pb.ChatResponse:
        """The answer, its usage and why it ended."""

    def stream_chat(
        self, model: str, asked: Conversation
    ) -> AsyncGenerator[pb.StreamChatResponse, None]:
        """The same in parts, the last with finish reason and usage."""

    async def complete(self, model: str, asked: Prompt) -> pb.CompleteResponse:
        """What comes behind the prompt."""

    def stream_complete(
        self, model: str, asked: Prompt
    ) -> AsyncGenerator[pb.StreamCompleteResponse, None]:
        """The same in parts."""
