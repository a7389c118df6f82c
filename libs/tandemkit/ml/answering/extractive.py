"""Answers made of quotes: the parts of texts that say what a question asks, as they stand there.

No model: words that question and text share, weighed by how rare they are among the texts, and how
alike the two are by meaning where somebody has measured it. What no text answers is not answered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log
from typing import Final

from tandemkit.ml.answering.markdown_units import Block, Form, blocks, sentences_in
from tandemkit.ml.text.fillers import telling
from tandemkit.ml.text.stems import stem

_WORD = re.compile(r"[^\W_]+")
_HOW = re.compile(r"\bhow\b", re.IGNORECASE)
_WHAT_IS = re.compile(
    r"\bwhat\s+(?:is|are)\s+(?:an?\s+|the\s+)?(?P<what>.+?)\??\s*$", re.IGNORECASE
)
# As alike as that by meaning, a text is about what is asked; below the other it is not.
_ALIKE, _UNLIKE = 0.62, 0.2
# This much of what the question's words weigh is to be found where the answer is.
_COVERED_MIN: Final = 0.6
_CHARS_MAX: Final = 1600
_QUOTES_MAX: Final = 4
_NEXT_BEST: Final = 0.55
_SAME: Final = 0.6


@dataclass(frozen=True, slots=True)
class Source:
    """A text that may have the answer; the better ones come first. `likeness` is that of text and
    question by meaning, from -1 to 1; None where nobody knows.
    """

    text: str
    title: str = ""
    headings: tuple[str, ...] = ()
    uri: str = ""
    likeness: float | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """`text` stands in the source of that number, from `start` on."""

    source: int
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """The quotes in their order, and how sure it is that they answer, from 0 to 1. Without quotes
    there is no answer.
    """

    quotes: tuple[Quote, ...] = ()
    confidence: float = 0.0

    @property
    def text(self) -> str:
        """Each quote with its number."""
        return "\n\n".join(
            f"{one.text}{_gap(one.text)}[{number}]"
            for number, one in enumerate(self.quotes, start=1)
        )


@dataclass(slots=True)
class _Unit:
    """Something that may be quoted, with what it is worth."""

    source: int
    start: int
    end: int
    form: Form
    words: frozenset[str]
    score: float = 0.0


@dataclass(frozen=True)
class _Question:
    text: str
    words: tuple[str, ...]
    weights: dict[str, float] = field(default_factory=dict)

    @cached_property
    def total(self) -> float:
        return sum(self.weights.values()) or 1.0

    def covered(self, words: frozenset[str]) -> float:
        """How much of the question's weight these words have, from 0 to 1."""
        return sum(self.weights[one] for one in self.words if one in words) / self.total


def extracted(question: str, sources: Sequence[Source]) -> Answer:
    """What the sources say to it."""
    about = [frozenset(stems(f"{one.title} {' '.join(one.headings)}")) for one in sources]
    whole = [frozenset(stems(one.text)) | about[at] for at, one in enumerate(sources)]
    asked = _weighed(question, whole)
    if not asked.words:
        return Answer()
    units = [
        unit
        for number, one in enumerate(sources)
        for unit in _units(number, one, about[number], asked)
    ]
    if not units:
        return Answer()
    best = max(units, key=lambda one: one.score)
    confidence = _confidence(asked, whole[best.source], sources[best.source])
    if confidence < _COVERED_MIN:
        return Answer((), confidence)
    return Answer(tuple(_quotes(units, best, sources)), confidence)


def stems(text: str) -> list[str]:
    """What words of a text are compared by."""
    return [stem(one) for one in _WORD.findall(text.casefold())]


def _weighed(question: str, texts: Sequence[frozenset[str]]) -> _Question:
    words = tuple(dict.fromkeys(stem(one) for one in telling(_WORD.findall(question.casefold()))))
    holders = Counter(word for text in texts for word in text)
    count = len(texts)
    weights = {one: log(1 + (count + 1) / (holders[one] + 0.5)) for one in words}
    return _Question(question, words, weights)


def _units(number: int, source: Source, about: frozenset[str], asked: _Question) -> list[_Unit]:
    found = []
    headed = asked.covered(about)
    # The first of those that were found are likelier to be it than the others.
    early = 1.0 / (1.0 + 0.15 * number)
    likeness = max(source.likeness or 0.0, 0.0)
    for block in blocks(source.text):
        if block.form is Form.HEADING:
            continue
        for start, end in sentences_in(source.text, block):
            words = frozenset(stems(source.text[start:end]))
            said = asked.covered(words)
            both = asked.covered(words | about)
            score = said + 0.6 * headed + 0.6 * both + 0.8 * likeness
            score *= early * _fit(asked.text, block, source.text[start:end])
            found.append(_Unit(number, start, end, block.form, words, score))
    return found


def _fit(question: str, block: Block, text: str) -> float:
    """Whether it is said as such a question wants it answered."""
    if _HOW.search(question):
        return 1.25 if block.form in {Form.CODE, Form.LIST} or "`" in text else 1.0
    what = _WHAT_IS.search(question)
    if what and block.form is Form.PROSE:
        named = re.escape(what["what"])
        return (
            1.3 if re.match(rf"(?:an?|the)?\s*[`*]*{named}\w*[`*]*\s", text, re.IGNORECASE) else 1.0
        )
    return 1.0


def _confidence(asked: _Question, words: frozenset[str], source: Source) -> float:
    covered = asked.covered(words)
    if source.likeness is None:
        return covered
    if source.likeness < _UNLIKE:
        return covered * 0.5
    return max(covered, min(1.0, _COVERED_MIN * source.likeness / _ALIKE))


def _quotes(units: Sequence[_Unit], best: _Unit, sources: Sequence[Source]) -> list[Quote]:
    chosen: list[Quote] = []
    said: list[frozenset[str]] = []
    room = _CHARS_MAX
    for unit in sorted(units, key=lambda one: -one.score):
        if len(chosen) == _QUOTES_MAX or unit.score < _NEXT_BEST * best.score:
            break
        source = sources[unit.source]
        start, end = _whole(source.text, unit, room)
        if any(_overlap(one, unit.source, start, end) for one in chosen):
            continue
        if any(_alike(unit.words, one) for one in said) or (chosen and end - start > room):
            continue
        chosen.append(Quote(unit.source, start, source.text[start:end]))
        said.append(unit.words)
        room -= end - start
    return chosen


def _whole(text: str, unit: _Unit, room: int) -> tuple[int, int]:
    """With what it cannot be understood without: its paragraph, what leads to a list or a command,
    and those that it leads to.
    """
    every = blocks(text)
    at = next(n for n, one in enumerate(every) if one.start <= unit.start < one.end)
    first = last = at
    while last + 1 < len(every) and _leads(text, every[last], every[last + 1]):
        last += 1
    while first > 0 and _leads(text, every[first - 1], every[first]):
        first -= 1
    start, end = every[first].start, every[last].end
    if end - start <= room:
        return start, end
    if every[at].end - every[at].start <= room:
        return every[at].start, every[at].end
    return unit.start, min(unit.end, unit.start + max(room, 1))


def _leads(text: str, before: Block, after: Block) -> bool:
    if before.form is Form.HEADING or after.form in {Form.HEADING, Form.PROSE}:
        return False
    return before.form is Form.PROSE or text[before.start : before.end].endswith(":")


def _overlap(quote: Quote, source: int, start: int, end: int) -> bool:
    return quote.source == source and start < quote.end and quote.start < end


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) > _SAME * len(one | other)


def _gap(text: str) -> str:
    """Behind a command or a table a number would be part of it."""
    last = text.rpartition("\n")[2]
    return "\n" if last.startswith(("```", "~~~", "|")) else " "
