"""The rule: a sentence in which somebody refers to another text is a question that it answers.

Stock words and references that only point go; others keep their words in every second question:
some who ask know the name of what they look for. docs/design/documents.md has all of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tandemkit.ml.text.sentences import sentence_spans
from tandemkit.ml.text.words import words
from tests.bench.quality.labels import Place, Question, drawn, half_of

_WORDS_MIN = 5
_OF_A_TARGET_MAX = 6
_STOCK = re.compile(
    r"\b(?:see(?: also| under)?|compare(?: with)?|cf\.?|q\.v\.|(?:is |are )?described (?:in|by|on)"
    r"|(?:as )?said (?:in|on)|has (?:all|the) details|says (?:how|why|more|what)|more (?:in|on)"
    r"|under|and|or)\s*(?=[,;:.]|$)|^\W*(?:see(?: also)?|compare|cf\.?)\b",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"\(\s*[,;:.]?\s*\)")
_COMMON_WORDS = """
a about after all also an and any are as at be because been before but by can does each else few for
from had has have how if in into is it its just may more most much no not of on one only or other
our out over same see so some such than that the their them then there these they this those to too
under until up was were what when where which while who whose why will with without you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True)
class Reference:
    """What is said at `[start, end)` of a passage is another text's name, or nothing."""

    start: int
    end: int
    target: Place


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph without markup. `offsets` has for each of its characters, and for its end, the
    place in its document.
    """

    document: str
    text: str
    offsets: tuple[int, ...]
    references: tuple[Reference, ...]


def questions(passages: Iterable[Passage]) -> list[Question]:
    """Every one that the rule allows, each text once, in an order that the seed decides."""
    found: dict[tuple[str, ...], Question] = {}
    for passage in passages:
        for question in _of(passage):
            found.setdefault(tuple(words(question.text)), question)
    taken: Counter[Place] = Counter()
    chosen = []
    for question in sorted(found.values(), key=lambda one: drawn("order", one.text)):
        taken[question.answer] += 1
        if taken[question.answer] <= _OF_A_TARGET_MAX:
            chosen.append(question)
    return chosen


def _of(passage: Passage) -> Iterator[Question]:
    for start, end in sentence_spans(passage.text):
        for reference in passage.references:
            if start <= reference.start and reference.end <= end:
                sentence = passage.text[start:end]
                is_hidden = drawn("hidden", sentence, reference.target) % 2 == 0
                if is_hidden:
                    before, after = reference.start - start, reference.end - start
                    sentence = sentence[:before] + sentence[after:]
                text = _without_stock(sentence)
                if len({*words(text)} - _COMMON) >= _WORDS_MIN:
                    asked = Place(passage.document, passage.offsets[start], passage.offsets[end])
                    yield Question(text, reference.target, asked, half_of(text))


def _without_stock(sentence: str) -> str:
    text = " ".join(_EMPTY.sub("", _STOCK.sub("", sentence)).split())
    return re.sub(r"\s+([,;:.])", r"\1", text).strip(" ,;:.-()")
