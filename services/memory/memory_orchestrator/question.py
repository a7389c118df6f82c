"""What an index is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.memory.memory_orchestrator.wanted import Wanted
from tandemkit.storage.vectors.protocol import Space


@dataclass(frozen=True, slots=True)
class Question:
    """`vector` is of `space`; without one it is asked by words alone."""

    words: Sequence[str]
    wanted: Wanted
    now_s: float
    most: int
    vector: Sequence[float] | None = None
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Ids by words and by meaning, the best first, and how many have no vector to compare."""

    by_words: Sequence[str] = ()
    by_meaning: Sequence[str] = ()
    pending: int = 0
