"""What a question asks, as words with their weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import log
from typing import Final

from tandemkit.ml.answering.blocks import Form
from tandemkit.ml.text.fillers import telling
from tandemkit.ml.text.stems import stem
from tandemkit.ml.text.synonyms import synonyms

_WORD = re.compile(r"[^\W_]+")
_HOW = re.compile(r"(?i)^\W*how\s+(?:do|can|to|could|should|would|does)\b")
_WHERE = re.compile(r"(?i)^\W*where\b")
_WHAT_IS = re.compile(r"(?i)^\W*what\s+(?:is|are)\s+(?:an?\s+|the\s+)?(?P<what>.+?)\W*$")
_COMMAND = re.compile(r"`(?:\./)?[a-z]+(?: [^`]*)?`")
_PLACE = re.compile(r"`[^`]*[/.][^`]*`|\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b")
_FITTING: Final = 1.2
_SHOWING: Final = 1.45
_SYNONYM_SHARE: Final = 0.7


@dataclass(frozen=True)
class Question:
    """Its telling words, and how much each weighs."""

    text: str
    weights: Mapping[str, float]
    # What others write as one word: `roll back`, `rollback`.
    joined: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.weights)

    @cached_property
    def total(self) -> float:
        return sum(self.weights.values()) or 1.0

    def covered(self, words: frozenset[str]) -> float:
        """How much of its weight these words have, from 0 to 1."""
        there = set(words)
        for whole, parts in self.joined.items():
            if whole in words:
                there.update(parts)
        return sum(self._share(one, there) * self.weights[one] for one in self.weights) / self.total

    def _share(self, word: str, there: set[str]) -> float:
        """All of its weight where it is there, most of it where another word for it is."""
        if word in there:
            return 1.0
        return 0.0 if there.isdisjoint(synonyms(word)) else _SYNONYM_SHARE

    def stands_in(self, text: str) -> bool:
        """Whether it is there word by word."""
        return self.text.casefold().strip(" ?!.") in text.casefold()

    def focus(self, words: frozenset[str]) -> float:
        """How much of these words the question has, from 0 to 1."""
        return len(words & self.weights.keys()) / len(words) if words else 0.0

    def fit(self, form: Form, text: str) -> float:
        """Whether something is said as such a question wants to be answered: 1, or a bit more."""
        if _HOW.match(self.text):
            return self._shows(form, text)
        if _WHERE.match(self.text):
            return _FITTING if _PLACE.search(text) else 1.0
        return _FITTING if self._defines(text) else 1.0

    def _shows(self, form: Form, text: str) -> float:
        """Whether it is a command or a row of steps; best, a command with a word of the question's
        in it.
        """
        commands = [text] if form is Form.CODE else _COMMAND.findall(text)
        if any(not self.weights.keys().isdisjoint(stems(one)) for one in commands):
            return _SHOWING
        return _FITTING if commands or form is Form.LIST else 1.0

    def _defines(self, text: str) -> bool:
        asked = _WHAT_IS.match(self.text)
        if asked is None:
            return False
        named = re.escape(asked["what"])
        said = rf"(?i)\W*(?:(?:an?|the)\s+)?\W*{named}\w*\W+(?:is|are|means?|keeps?|says?)\b"
        return re.match(said, text) is not None


def stems(text: str) -> list[str]:
    """What words of a text are compared by."""
    return [stem(one) for one in _WORD.findall(text.casefold())]


def weighed(question: str, texts: Sequence[frozenset[str]]) -> Question:
    """The rarer a word is among the texts, the more it weighs; the most where none has it."""
    holders = Counter(word for text in texts for word in text)
    count = len(texts)
    told = _WORD.findall(question.casefold())
    weights = {}
    for word in telling(told):
        root = stem(word)
        weight = log(1 + (count + 1) / (holders[root] + 0.5))
        weights[root] = weight
    joined = {
        whole: (stem(one), stem(other))
        for one, other in pairwise(told)
        if (whole := stem(one + other)) in holders
    }
    return Question(question, weights, joined)
