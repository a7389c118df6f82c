"""Which sentences say what the others say too: TextRank (Mihalcea and Tarau, 2004), with shared
words weighed by how rare they are (Barrios et al., 2016). It needs no model, and the same sentences
always get the same ranks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import log
from operator import mul

# The time goes with the square of the sentences that share words: so many take about 0.15 s.
SENTENCES_MAX = 400
_DAMPING = 0.85
_ROUNDS_MAX, _CLOSE_ENOUGH = 60, 1e-6
# Of two sentences that share this much of their words one is enough.
_ALIKE = 0.6


def ranks(bags: Sequence[Iterable[str]]) -> list[float]:
    """How central each sentence is, given as its words; all together 1, and none of it negative."""
    if len(bags) > SENTENCES_MAX:
        raise ValueError("more sentences than can be ranked at once")
    sets = [frozenset(bag) for bag in bags]
    return _centrality(len(sets), _alikeness(sets)) if sets else []


def best(bags: Sequence[Iterable[str]], sizes: Sequence[int], size_max: int) -> list[int]:
    """The numbers of the most central sentences that fit together, in the order of the text. What
    is said already is not said again.
    """
    sets = [frozenset(bag) for bag in bags]
    scores = ranks(sets)
    chosen: list[int] = []
    room = size_max
    # Of equals the first: in a text what stands first is what is about.
    for number in sorted(range(len(sets)), key=lambda one: -scores[one]):
        if sizes[number] <= room and not any(_is_alike(sets[number], sets[one]) for one in chosen):
            chosen.append(number)
            room -= sizes[number]
    return sorted(chosen)


def _is_alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) > _ALIKE * len(one | other)


def _alikeness(sets: Sequence[frozenset[str]]) -> dict[tuple[int, int], float]:
    """Of each pair that shares words, the lower number first."""
    holders: dict[str, list[int]] = defaultdict(list)
    for number, bag in enumerate(sets):
        # Sums of floats depend on their order, and a set's is another one in each process.
        for word in sorted(bag):
            holders[word].append(number)
    shared: dict[tuple[int, int], float] = defaultdict(float)
    for held in holders.values():
        rarity = log(1 + (len(sets) - len(held) + 0.5) / (len(held) + 0.5))
        for pair in combinations(held, 2):
            shared[pair] += rarity
    lengths = [log(1 + len(bag)) for bag in sets]
    return {
        (one, other): weight / (lengths[one] + lengths[other])
        for (one, other), weight in shared.items()
    }


def _centrality(count: int, edges: dict[tuple[int, int], float]) -> list[float]:
    """Where a walker is who goes from sentence to sentence along what they share."""
    neighbours: list[list[int]] = [[] for _ in range(count)]
    weights: list[list[float]] = [[] for _ in range(count)]
    outgoing = [0.0] * count
    for (one, other), weight in edges.items():
        for here, there in ((one, other), (other, one)):
            neighbours[here].append(there)
            weights[here].append(weight)
            outgoing[here] += weight
    linked = [number for number in range(count) if outgoing[number]]
    scores = [1.0 / count] * count
    for _ in range(_ROUNDS_MAX):
        # Who shares nothing with anybody goes anywhere.
        lost = sum(scores) - sum(scores[number] for number in linked)
        base = (1 - _DAMPING + _DAMPING * lost) / count
        flows = [score / (out or 1.0) for score, out in zip(scores, outgoing, strict=True)]
        earlier, scores = scores, [base] * count
        for number in linked:
            heard = map(flows.__getitem__, neighbours[number])
            scores[number] += _DAMPING * sum(map(mul, heard, weights[number]))
        if sum(abs(a - b) for a, b in zip(scores, earlier, strict=True)) < _CLOSE_ENOUGH:
            break
    return scores
