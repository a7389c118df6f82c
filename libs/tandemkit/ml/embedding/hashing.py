"""Vectors of words' hashes: texts are alike that share words. It knows no meaning, so it is for
tests, and for machines whose owner chose it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tandemkit.ml.embedding.protocol import Embedded, Lane, Purpose, Space, Vector, of_length_1

DIMENSION = 384
# Another way to count is another space.
_VERSION = "words-and-pairs-1"
_WORD = re.compile(r"\w+")
# A pair says less than a word does.
_PAIR_WEIGHT = 0.5


class HashingEmbedder:
    """`tandemkit.ml.embedding.protocol.Embedder`."""

    batch_max = 256
    at_once = 1
    tokens_max = 512
    is_loaded = True

    def __init__(self, model: str, dimension: int = DIMENSION) -> None:
        self.space = Space(model, _VERSION, dimension)

    def phrased(self, text: str, _purpose: Purpose) -> str:
        return text

    async def embed(self, texts: Sequence[str], _lane: Lane = Lane.PROMPT) -> list[Embedded]:
        return [self._embedded(text) for text in texts]

    async def check(self) -> None:
        """There is nothing that it lacks."""

    async def unload(self) -> None:
        """There is nothing that it holds."""

    def _embedded(self, text: str) -> Embedded:
        # What has no words is a word of its own.
        words = _WORD.findall(text.casefold()) or [text]
        kept = words[: self.tokens_max]
        return Embedded(self._vector(kept), len(kept), len(words) > self.tokens_max)

    def _vector(self, words: Sequence[str]) -> Vector:
        sums = [0.0] * self.space.dimension
        for term, weight in _weights(words):
            number = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest())
            sums[(number >> 1) % len(sums)] += weight if number & 1 else -weight
        # Two words may take each other away.
        return of_length_1(sums if any(sums) else [1.0, *sums[1:]])


def _weights(words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """A word that comes again counts for less each time."""
    for word, count in Counter(words).items():
        yield word, 1 + math.log(count)
    for pair, count in Counter(pairwise(words)).items():
        yield " ".join(pair), _PAIR_WEIGHT * (1 + math.log(count))
