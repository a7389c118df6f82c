"""How good a classifier is, and how sure that is of so few examples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tandemkit.ml.classifying.linear import Linear
from tools.routes.examples import Example

# Of a confidence interval of 95 %.
_DEVIATIONS: Final = 1.96


@dataclass(slots=True)
class Judged:
    """Counted by (wanted, found)."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        right = sum(count for (wanted, found), count in self.pairs.items() if wanted == found)
        return right / self.pairs.total()

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, which holds for few examples and near 1 too."""
        count, squared = self.pairs.total(), _DEVIATIONS**2
        middle = (self.accuracy + squared / (2 * count)) / (1 + squared / count)
        spread = self.accuracy * (1 - self.accuracy) / count + squared / (4 * count**2)
        half = _DEVIATIONS * math.sqrt(spread) / (1 + squared / count)
        return middle - half, middle + half

    def precision(self, route: str) -> float:
        """Of those that are taken for it, how many are."""
        return self._share(route, 1)

    def recall(self, route: str) -> float:
        """Of those that are, how many are taken for it."""
        return self._share(route, 0)

    def table(self, title: str) -> str:
        low, high = self.interval
        said = f"accuracy {self.accuracy:.3f} (95 % of {low:.3f} to {high:.3f})"
        lines = [f"{title}: {self.pairs.total()} requests, {said}"]
        lines += [
            f"  {route:<10} precision {self.precision(route):.3f}  recall {self.recall(route):.3f}"
            for route in sorted({wanted for wanted, _ in self.pairs})
        ]
        return "\n".join(lines)

    def _share(self, route: str, side: int) -> float:
        all_of_it = sum(count for pair, count in self.pairs.items() if pair[side] == route)
        return self.pairs[route, route] / all_of_it if all_of_it else 0.0


def judged(classifier: Linear, examples: Sequence[Example]) -> Judged:
    """By the likeliest route of each, however likely."""
    found = Judged()
    for one in examples:
        likely = classifier.probabilities(one.text)
        found.pairs[one.route, max(likely, key=lambda route: likely[route])] += 1
    return found
