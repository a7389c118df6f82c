"""Texts by the words of a question: Okapi BM25 over what fits into memory and changes often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from math import log
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
# How soon a repeated word says no more, and how much a long text has to say it more often.
_SATURATION, _LENGTH = 1.2, 0.75


class WordIndex(Generic[Key]):
    """Words of texts by key."""

    def __init__(self) -> None:
        self._counts: dict[Key, Counter[str]] = {}
        self._holders: dict[str, set[Key]] = defaultdict(set)
        self._words = 0

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: Key, words: Iterable[str]) -> None:
        """Instead of what the key had."""
        self.remove(key)
        counts = self._counts[key] = Counter(words)
        self._words += counts.total()
        for word in counts:
            self._holders[word].add(key)

    def remove(self, key: Key) -> None:
        """Harmless where there is none."""
        counts = self._counts.pop(key, None)
        if counts is None:
            return
        self._words -= counts.total()
        for word in counts:
            self._holders[word].discard(key)
            if not self._holders[word]:
                del self._holders[word]

    def search(self, words: Iterable[str]) -> list[tuple[Key, float]]:
        """Those that have any of the words, the best first; of equals the one added first."""
        scores: dict[Key, float] = {}
        usual = self._words / (len(self._counts) or 1) or 1.0
        for word in dict.fromkeys(words):
            held = self._holders.get(word, ())
            rarity = log(1 + (len(self._counts) - len(held) + 0.5) / (len(held) + 0.5))
            for key in held:
                counts = self._counts[key]
                length = 1 - _LENGTH + _LENGTH * counts.total() / usual
                often = counts[word] * (_SATURATION + 1) / (counts[word] + _SATURATION * length)
                scores[key] = scores.get(key, 0.0) + rarity * often
        order = {key: place for place, key in enumerate(self._counts)} if scores else {}
        return sorted(scores.items(), key=lambda one: (-one[1], order[one[0]]))
