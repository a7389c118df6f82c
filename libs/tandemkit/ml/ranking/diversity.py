"""One after the other, what adds most to what was taken: maximal marginal relevance (Carbonell and
Goldstein, 1998), over texts as the words that tell them apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log, sqrt


class Overlap:
    """How much of each text those that were taken say already: the greatest cosine with any of
    them, of words that count the more the fewer texts have them. From 0 to 1.
    """

    def __init__(self, bags: Sequence[Iterable[str]]) -> None:
        counts = [Counter(bag) for bag in bags]
        held = Counter(word for one in counts for word in one)
        self._weights = [_weighed(one, held, len(counts)) for one in counts]
        self._holders: dict[str, list[int]] = defaultdict(list)
        for number, weights in enumerate(self._weights):
            for word in weights:
                self._holders[word].append(number)
        self.said = [0.0] * len(counts)

    def take(self, number: int) -> None:
        """From now on that text is said."""
        cosines: dict[int, float] = defaultdict(float)
        for word, weight in self._weights[number].items():
            for other in self._holders[word]:
                cosines[other] += weight * self._weights[other][word]
        for other, cosine in cosines.items():
            self.said[other] = max(self.said[other], min(1.0, cosine))


def marginal(gain: float, said: float, diversity: float) -> float:
    """What taking a text of this gain would add."""
    return (1 - diversity) * gain - diversity * said


def _weighed(counts: Counter[str], held: Counter[str], total: int) -> dict[str, float]:
    rarity = {word: log(1 + (total + 1) / held[word]) for word in counts}
    weights = {word: (1 + log(count)) * rarity[word] for word, count in counts.items()}
    length = sqrt(sum(weight * weight for weight in weights.values()))
    return {word: weight / length for word, weight in weights.items()}
