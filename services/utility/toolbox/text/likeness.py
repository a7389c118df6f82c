"""How alike two texts are."""

from __future__ import annotations

from enum import Enum

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA, Indel, JaroWinkler, Levenshtein


class Measure(Enum):
    """The measures of likeness, as the contract describes them."""

    LEVENSHTEIN = 1
    DAMERAU_LEVENSHTEIN = 2
    JARO_WINKLER = 3
    INDEL = 4
    SORTED_WORDS = 5
    WORD_SET = 6


def similarity(left: str, right: str, measure: Measure) -> float:
    """From 0 to 1. Two empty texts are equal, so 1; the library says 0 for some measures."""
    if left == right:
        return 1.0
    match measure:
        case Measure.LEVENSHTEIN:
            return Levenshtein.normalized_similarity(left, right)
        case Measure.DAMERAU_LEVENSHTEIN:
            return OSA.normalized_similarity(left, right)
        case Measure.JARO_WINKLER:
            return JaroWinkler.normalized_similarity(left, right)
        case Measure.INDEL:
            return Indel.normalized_similarity(left, right)
        case Measure.SORTED_WORDS:
            return fuzz.token_sort_ratio(left, right) / 100
        case Measure.WORD_SET:
            return fuzz.token_set_ratio(left, right) / 100
