"""A query as the index is asked: its words, and its vector where that can be had in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from services.memory.memory_orchestrator.question import Question
from services.memory.memory_orchestrator.wanted import Wanted
from tandemkit.core.clock import Clock
from tandemkit.hosting.fleet_embedder import Vectors
from tandemkit.ml.text.words import words
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.vectors.wire import space_of

# Who asks waits no longer for the better answer.
_WITHIN_S = 1.5


class Embedder(Protocol):
    async def question(self, text: str, within_s: float) -> Vectors:
        """Raises Unreachable, Refused."""


class Questions:
    def __init__(self, embedder: Embedder, clock: Clock) -> None:
        self._embedder, self._clock = embedder, clock

    async def of(self, query: str, wanted: Wanted, most: int) -> Question:
        """Without a vector where it cannot be embedded in time; the answer says so."""
        question = Question(words(query), wanted, self._clock.now().timestamp(), most)
        if not query.strip():
            return question
        try:
            told = await self._embedder.question(query, _WITHIN_S)
        except (Unreachable, Refused):
            return question
        return replace(question, vector=told.vectors[0], space=space_of(told.space))
