"""A text as hashed counts of its words, pairs of words and pieces of words: what a classifier needs
that has to know no vocabulary.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

BUCKETS: Final = 2048
_WORD: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[+*/^=%]")
_PIECE_SIZES: Final = (3, 4)
# Of a text, its first words: how something is asked stands at its beginning.
_WORDS_MAX: Final = 60
_WORD_CHARS_MAX: Final = 32
_FIRST: Final = 3


def features(text: str) -> dict[int, float]:
    """Bucket to weight, of length 1. The same on every machine and in every process."""
    words = [_plain(one) for one in _WORD.findall(text.casefold())[:_WORDS_MAX]]
    counts = Counter(zlib.crc32(one.encode()) % BUCKETS for one in _grams(words))
    weights = {bucket: 1.0 + math.log(count) for bucket, count in counts.items()}
    length = math.sqrt(sum(one * one for one in weights.values())) or 1.0
    return {bucket: one / length for bucket, one in weights.items()}


def _plain(word: str) -> str:
    """Which number it is says nothing."""
    return "0" if word[0].isdigit() else word[:_WORD_CHARS_MAX]


def _grams(words: list[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        yield f"w {word}"
        if place < _FIRST:
            yield f"{place} {word}"
        yield from _pieces(f"<{word}>")
    for one, other in pairwise(["<", *words, ">"]):
        yield f"p {one} {other}"


def _pieces(word: str) -> Iterator[str]:
    for size in _PIECE_SIZES:
        for start in range(len(word) - size + 1):
            yield f"c {word[start : start + size]}"
