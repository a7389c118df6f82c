"""Which slots have a word, and how often: one number each, so that millions fit into memory."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from services.memory.memory_orchestrator.vectors import Floats, Mask, Slots

_COUNT_BITS: Final = 6
_COUNT_MAX: Final = 2**_COUNT_BITS - 1
# How soon a repeated word says no more, and how much a long text has to say it more often.
_SATURATION, _LENGTH = 1.2, 0.75
# What a new word takes besides its slots: its text, its place in the table, an array.
_WORD_BYTES: Final = 200


class Postings:
    """Slots only rise. Those that are not alive any more are told by a mask."""

    def __init__(self) -> None:
        self._slots: dict[str, array[int]] = {}
        self.size_bytes = 0

    def add(self, slot: int, words: Counter[str]) -> None:
        for word, count in words.items():
            held = self._slots.get(word)
            if held is None:
                held = self._slots[word] = array("I")
                self.size_bytes += _WORD_BYTES
            held.append(slot << _COUNT_BITS | min(count, _COUNT_MAX))
        # Arrays grow ahead of need.
        self.size_bytes += len(words) * 5

    def having(self, words: Iterable[str], size: int) -> Mask:
        """Which of so many slots have any of the words."""
        mask = np.zeros(size, np.bool_)
        for word in words:
            if word in self._slots:
                mask[self._read(word)[0]] = True
        return mask

    def scores(self, words: Iterable[str], alive: Mask, lengths: Floats) -> Floats:
        """By Okapi BM25; 0 for those that have none of the words."""
        scores = np.zeros(len(alive), np.float32)
        total = int(alive.sum())
        usual = float(lengths[alive].sum()) / total if total else 1.0
        for word in dict.fromkeys(words):
            if word not in self._slots:
                continue
            slots, counts = self._read(word)
            held = int(alive[slots].sum())
            rarity = math.log(1 + (total - held + 0.5) / (held + 0.5))
            often = 1 - _LENGTH + _LENGTH * lengths[slots] / usual
            scores[slots] += rarity * counts * (_SATURATION + 1) / (counts + _SATURATION * often)
        return scores

    def moved(self, places: Slots) -> Postings:
        """Another one, in which slot `n` is `places[n]`, and gone where that is negative."""
        made = Postings()
        for word in self._slots:
            slots, counts = self._read(word)
            to = places[slots]
            kept = to >= 0
            if kept.any():
                packed = to[kept] << _COUNT_BITS | counts[kept].astype(np.int64)
                made._slots[word] = array("I", packed.astype(np.uint32).tobytes())
                made.size_bytes += _WORD_BYTES + 5 * len(packed)
        return made

    def _read(self, word: str) -> tuple[Slots, Floats]:
        packed = np.array(self._slots[word], np.int64)
        return packed >> _COUNT_BITS, (packed & _COUNT_MAX).astype(np.float32)
