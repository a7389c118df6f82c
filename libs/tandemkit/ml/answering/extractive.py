"""Answers made of quotes: the parts of texts that say what a question asks, as they stand there.

No model: words that question and text share, weighed by how rare they are among the texts, and how
alike the two are by meaning where somebody has measured it. What no text answers is not answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tandemkit.ml.answering.blocks import Block, Form, blocks, pieces
from tandemkit.ml.answering.question import Question, stems, weighed

# As alike as that by meaning, a text is about what is asked, whatever its words; below the other
# its words are chance.
ALIKE: Final = 0.62
UNLIKE: Final = 0.2
# This much of what the question's words weigh is to be found where the answer is.
_COVERED_MIN: Final = 0.6
_CHARS_MAX: Final = 1600
_QUOTES_MAX: Final = 3
_NEXT_BEST: Final = 0.72
_SAME: Final = 0.6
# What each says for a quote: its own words, those with its headings, and its source's meaning.
_OWN, _TOGETHER, _HEADED, _NAMED, _MEANT = 0.6, 1.0, 0.5, 0.4, 0.9
_EARLY: Final = 0.06
# A sentence that nobody understands without the one before: it is the rest of that, or says "it".
_GOES_ON = re.compile(r"[a-z]|(?:It|They|This|That|These|Those|Both|Then)\b")


@dataclass(frozen=True, slots=True)
class Source:
    """A text that may have the answer; those that are likelier to have it come first. `likeness` is
    that of text and question by meaning, from -1 to 1; None where nobody knows. What weighs less
    than 1 answers where others do not.
    """

    text: str
    title: str = ""
    headings: tuple[str, ...] = ()
    likeness: float | None = None
    weight: float = 1.0


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
    """The quotes, the best first, and how sure it is that they answer, from 0 to 1. Without quotes
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


@dataclass(frozen=True, slots=True)
class _Unit:
    """Something that may be quoted, with what it is worth."""

    source: int
    start: int
    end: int
    words: frozenset[str]
    score: float


def extracted(question: str, sources: Sequence[Source]) -> Answer:
    """What the sources say to it."""
    about = [frozenset(stems(" ".join((one.title, *one.headings)))) for one in sources]
    whole = [frozenset(stems(one.text)) | about[at] for at, one in enumerate(sources)]
    asked = weighed(question, whole)
    units = [
        unit
        for number, one in enumerate(sources)
        for unit in _units(number, one, about[number], asked)
    ]
    if not asked.words or not units:
        return Answer()
    best = max(units, key=lambda one: one.score)
    confidence = _confidence(asked, whole[best.source], sources[best.source])
    if confidence < _COVERED_MIN:
        return Answer((), confidence)
    return Answer(tuple(_quotes(units, best, sources)), confidence)


def _units(number: int, source: Source, about: frozenset[str], asked: Question) -> list[_Unit]:
    early = 1.0 / (1.0 + _EARLY * number)
    meant = _MEANT * max(source.likeness or 0.0, 0.0)
    named = frozenset(stems(source.headings[-1] if source.headings else source.title))
    headed = _HEADED * asked.covered(about) + _NAMED * asked.focus(named) * asked.covered(named)
    found = []
    for block in blocks(source.text):
        if block.form is Form.HEADING:
            continue
        for start, end in pieces(source.text, block):
            if block.form is Form.CODE and asked.stands_in(source.text[start:end]):
                # An example of how to ask it.
                continue
            words = frozenset(stems(source.text[start:end]))
            said = _OWN * asked.covered(words) + _TOGETHER * asked.covered(words | about)
            score = (said + headed + meant) * early * source.weight
            score *= asked.fit(block.form, source.text[start:end])
            found.append(_Unit(number, start, end, words, score))
    return found


def _confidence(asked: Question, words: frozenset[str], source: Source) -> float:
    covered = asked.covered(words)
    if source.likeness is None:
        return covered
    if source.likeness < UNLIKE:
        return covered * source.likeness / UNLIKE if source.likeness > 0 else 0.0
    return max(covered, min(1.0, _COVERED_MIN * source.likeness / ALIKE))


def _quotes(units: Sequence[_Unit], best: _Unit, sources: Sequence[Source]) -> list[Quote]:
    chosen: list[Quote] = []
    said: list[frozenset[str]] = []
    room = _CHARS_MAX
    for unit in sorted(units, key=lambda one: -one.score):
        if len(chosen) == _QUOTES_MAX or unit.score < _NEXT_BEST * best.score:
            break
        text = sources[unit.source].text
        start, end = _whole(text, unit, room)
        if end - start > room or any(_overlap(one, unit.source, start, end) for one in chosen):
            continue
        words = frozenset(stems(text[start:end]))
        if any(_alike(words, one) for one in said):
            continue
        chosen.append(Quote(unit.source, start, text[start:end]))
        said.append(words)
        room -= end - start
    return chosen


def _whole(text: str, unit: _Unit, room: int) -> tuple[int, int]:
    """With what it cannot be understood without: its paragraph, what leads to a list or a command,
    and those that it leads to; as much of that as there is room for.
    """
    every = blocks(text)
    at = next(n for n, one in enumerate(every) if one.start <= unit.start < one.end)
    first = last = at
    while last + 1 < len(every) and _leads(text, every[last], every[last + 1]):
        last += 1
    while first > 0 and _leads(text, every[first - 1], every[first]):
        first -= 1
    for start, end in (
        (every[first].start, every[last].end),
        (every[at].start, every[last].end),
        (every[first].start, every[at].end),
        (every[at].start, every[at].end),
    ):
        if end - start <= room:
            return start, end
    return unit.start, unit.end


def _leads(text: str, before: Block, after: Block) -> bool:
    """Whether what stands behind cannot be read, or is not complete, without what is before."""
    if Form.HEADING in {before.form, after.form}:
        return False
    if text[before.start : before.end].endswith(":"):
        return True
    if after.form is Form.PROSE:
        return _GOES_ON.match(text, after.start) is not None
    return before.form is Form.PROSE or (before.form, after.form) == (Form.LIST, Form.CODE)


def _overlap(quote: Quote, source: int, start: int, end: int) -> bool:
    return quote.source == source and start < quote.end and quote.start < end


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) > _SAME * min(len(one), len(other))


def _gap(text: str) -> str:
    """Behind a command or a table a number would be part of it."""
    last = text.rpartition("\n")[2]
    return "\n" if last.startswith(("```", "~~~", "|")) else " "
