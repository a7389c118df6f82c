"""Labelled sets: questions, and where their answers are, both made by rules from what people wrote.

The rule, the seed and the halves were fixed before anything was measured with them; a change of one
of them is a change of the yardstick, and is said in docs/benchmarks.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tandemkit.ml.documents.chunking import Chunk
from tandemkit.ml.documents.document import Document

SEED = "tandem retrieval 1"


class Half(StrEnum):
    """Choices are made on one half; what is reported comes from the other."""

    TUNING = "tuning"
    HELD_OUT = "held-out"


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a document of the set."""

    document: str
    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody referred to `answer` in the sentence that this was made of, which stands in `asked`
    and is no candidate itself.
    """

    text: str
    answer: Place
    asked: Place
    half: Half


@dataclass(frozen=True, slots=True)
class LabelledSet:
    name: str
    documents: Mapping[str, Document]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Judged:
    """A question against the chunks of its set, which are known by their numbers."""

    relevant: frozenset[int]
    barred: frozenset[int]


def drawn(*parts: object) -> int:
    """A number that only the seed and these parts decide."""
    said = "\0".join(map(str, (SEED, *parts)))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8])


def half_of(text: str) -> Half:
    """By the question alone, so that one that is added moves no other."""
    return Half.TUNING if drawn("half", text) % 2 else Half.HELD_OUT


def judged(question: Question, chunks: Iterable[tuple[str, Chunk]]) -> Judged:
    """Relevant is a chunk that lies for the most part in the answer, or holds most of it."""
    relevant, barred = set(), set()
    for number, (document, chunk) in enumerate(chunks):
        if _shared(question.asked, document, chunk):
            barred.add(number)
        elif 2 * _shared(question.answer, document, chunk) >= min(
            chunk.end_char - chunk.start_char,
            question.answer.end_char - question.answer.start_char,
        ):
            relevant.add(number)
    return Judged(frozenset(relevant), frozenset(barred))


def _shared(place: Place, document: str, chunk: Chunk) -> int:
    """How many characters both have."""
    if document != place.document:
        return 0
    return max(0, min(place.end_char, chunk.end_char) - max(place.start_char, chunk.start_char))
