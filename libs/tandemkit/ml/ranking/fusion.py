"""Several rankings of the same things become one, by their ranks alone: what a search by words and
one by vectors score is on scales that nothing makes comparable.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
# The constant of reciprocal rank fusion: the larger, the less the first places outweigh the next.
CONSTANT = 60.0


@dataclass(slots=True)
class Fused(Generic[Key]):
    """`ranks` has the place in each ranking, from 1; 0 where that one does not have it."""

    key: Key
    score: float
    ranks: list[int] = field(default_factory=list)


def fused(
    rankings: Sequence[Iterable[Key]],
    weights: Sequence[float] = (),
    constant: float = CONSTANT,
) -> list[Fused[Key]]:
    """The best first; of equals the one with the better place in an earlier ranking. A key that a
    ranking repeats counts once, where it stands first. Without weights all rankings weigh 1.
    """
    if weights and len(weights) != len(rankings):
        raise ValueError("as many weights as rankings, or none")
    found: dict[Key, Fused[Key]] = {}
    for number, ranking in enumerate(rankings):
        weight = weights[number] if weights else 1.0
        for rank, key in enumerate(dict.fromkeys(ranking), start=1):
            one = found.setdefault(key, Fused(key, 0.0, [0] * len(rankings)))
            one.score += weight / (constant + rank)
            one.ranks[number] = rank
    # Stable: what came first into `found` is what an earlier ranking had first.
    return sorted(found.values(), key=lambda one: -one.score)
