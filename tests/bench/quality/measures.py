"""How good a ranking is, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import log2

import numpy as np

DEPTH = 10
_RESAMPLES = 5_000
_SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and where it lies with 95 % confidence when questions are drawn anew."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def ndcg(ranked: Sequence[int], relevant: AbstractSet[int]) -> float:
    """Discounted gain of the first ten, as a share of what the best order of all would have."""
    gained = sum(1 / log2(at + 2) for at, one in enumerate(ranked[:DEPTH]) if one in relevant)
    return gained / sum(1 / log2(at + 2) for at in range(min(DEPTH, len(relevant))))


def recall(ranked: Sequence[int], relevant: AbstractSet[int]) -> float:
    """How much of what is relevant, or of ten where there is more, is among the first ten."""
    return sum(one in relevant for one in ranked[:DEPTH]) / min(DEPTH, len(relevant))


def reciprocal_rank(ranked: Sequence[int], relevant: AbstractSet[int]) -> float:
    """Of the first relevant one among the first ten; 0 without."""
    return next((1 / at for at, one in enumerate(ranked[:DEPTH], 1) if one in relevant), 0.0)


def interval(values: Sequence[float]) -> Interval:
    """By bootstrap. Of paired differences it says whether one way is better than another."""
    found = np.asarray(values, np.float64)
    draws = np.random.default_rng(_SEED).integers(0, len(found), (_RESAMPLES, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), (0.025, 0.975))
    return Interval(float(found.mean()), float(low), float(high))
