"""A request on its way, and what is said to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, TypeAlias

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.ml.text.sentences import sentence_spans
from tandemkit.rpc.current import SERVING

EXTRACTIVE = "extractive"


@dataclass(frozen=True, slots=True)
class Asked:
    """`namespace` is as the caller wrote it: empty is `default` with the platform's documents."""

    text: str
    routing: nouns.Routing
    namespace: str
    correlation_id: str
    history: Sequence[pb.Turn] = ()
    session: str = ""
    model: str = ""


@dataclass(slots=True)
class Answer:
    """All that is known in the end. Without a text nobody who was asked knows."""

    text: str = ""
    answerer: nouns.Answerer = field(default_factory=nouns.Answerer)
    citations: Sequence[nouns.Citation] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the answer's text."""

    text: str


# What a desk says: pieces that make up the text, who has no part in it, and at last the answer.
Said: TypeAlias = Piece | nouns.Shortfall | Answer


class Desk(Protocol):
    """Answers requests of one route."""

    def answer(self, asked: Asked) -> AsyncIterator[Said]:
        """The last is the Answer. Raises NobodyAnswered."""


def share_s(part: float, most_s: float) -> float:
    """Of what is left of the served call's time, for one step of it."""
    current = SERVING.get()
    rest_s = current.rest_s() if current is not None else None
    return most_s if rest_s is None else max(0.0, min(most_s, rest_s * part))


def pieces(text: str) -> list[Piece]:
    """A text that is there as a whole, by sentences and with all that is between them."""
    starts = [start for start, _end in sentence_spans(text)][1:]
    bounds = [0, *starts, len(text)]
    return [Piece(text[start:end]) for start, end in pairwise(bounds) if end > start]
