"""Which windows are told, and in which order. The same request always gives the same context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush

from services.memory.context_assembler.windows import Candidate, Window, joined, windows_of
from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.ranking.diversity import Overlap, marginal
from tandemkit.ml.text.tokens import estimated_tokens
from tandemkit.ml.text.words import words

# Who shares that much with what is told says nothing new.
_SAID_MAX = 0.9


class Order(Enum):
    BEST_FIRST = 1
    OLDEST_FIRST = 2
    BEST_OUTSIDE = 3


class Drop(Enum):
    NO_ROOM = 1
    SAID_ALREADY = 2
    IRRELEVANT = 3


@dataclass(frozen=True, slots=True)
class Weights:
    relevance: float = 1.0
    recency: float = 0.2
    diversity: float = 0.3
    stability: float = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `previous` has the windows of before, a candidate by its number."""

    query: str
    candidates: Sequence[Candidate]
    tokens_max: int
    weights: Weights
    half_life_s: float
    window_tokens_max: int | None
    order: Order
    previous: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Part:
    """`is_stable` says that it stands where it stood."""

    window: Window
    score: float
    is_stable: bool


@dataclass(frozen=True, slots=True)
class Packed:
    """`dropped` has candidates by their number."""

    parts: list[Part]
    dropped: dict[int, Drop]


def packed(wish: Wish) -> Packed:
    windows = [
        window
        for number, one in enumerate(wish.candidates)
        for window in windows_of(number, one.text, wish.window_tokens_max)
    ]
    choice = _Choice(wish, windows)
    choice.choose()
    scores = {windows[number]: choice.gains[number] for number in choice.chosen}
    told = {window.candidate for window in scores}
    dropped = {
        candidate: drop for candidate, drop in choice.dropped.items() if candidate not in told
    }
    return Packed(_ordered(wish, windows, scores), dropped)


class _Choice:
    """One window after the other, the best that fits, until none does."""

    def __init__(self, wish: Wish, windows: Sequence[Window]) -> None:
        self._wish, self._windows = wish, windows
        texts = [wish.candidates[one.candidate].text[one.start : one.end] for one in windows]
        bags = [words(text) for text in texts]
        mark = estimated_tokens(f"[{len(windows)}]")
        self._sizes = [estimated_tokens(text) + mark for text in texts]
        self._overlap = Overlap(bags)
        self._relevance = _relevance(wish, windows, bags)
        self.gains = [self._gain(number) for number in range(len(windows))]
        self.chosen: list[int] = []
        self.dropped: dict[int, Drop] = {}

    def choose(self) -> None:
        """Fills `chosen`, and `dropped` with the cause of each candidate's best window."""
        best_first = sorted(range(len(self._windows)), key=lambda one: -self.gains[one])
        room = self._wish.tokens_max
        queue: list[tuple[float, int]] = []
        for number in best_first:
            if self._candidate(number).is_pinned:
                room -= self._taken(number, room)
            elif self._relevance[number]:
                queue.append((-self._marginal(number), number))
            else:
                self._drop(number, Drop.IRRELEVANT)
        heapify(queue)
        while queue:
            known, number = heappop(queue)
            now = -self._marginal(number)
            if queue and now > known and (now, number) > queue[0]:
                # What was taken since says some of it; nothing ever adds more than it did.
                heappush(queue, (now, number))
            elif self._overlap.said[number] > _SAID_MAX:
                self._drop(number, Drop.SAID_ALREADY)
            else:
                room -= self._taken(number, room)

    def _taken(self, number: int, room: int) -> int:
        if self._sizes[number] > room:
            self._drop(number, Drop.NO_ROOM)
            return 0
        self.chosen.append(number)
        self._overlap.take(number)
        return self._sizes[number]

    def _drop(self, number: int, cause: Drop) -> None:
        self.dropped.setdefault(self._windows[number].candidate, cause)

    def _candidate(self, number: int) -> Candidate:
        return self._wish.candidates[self._windows[number].candidate]

    def _marginal(self, number: int) -> float:
        said = self._overlap.said[number]
        return marginal(self.gains[number], said, self._wish.weights.diversity)

    def _gain(self, number: int) -> float:
        weights, window = self._wish.weights, self._windows[number]
        age_s = self._candidate(number).age_s
        recency = 0.0 if age_s is None else 0.5 ** (max(0.0, age_s) / self._wish.half_life_s)
        was_told = any(_holds(one, window) for one in self._wish.previous)
        total = weights.relevance + weights.recency + weights.stability
        if not total:
            return self._relevance[number]
        told = weights.relevance * self._relevance[number] + weights.recency * recency
        return (told + weights.stability * was_told) / total


def _relevance(wish: Wish, windows: Sequence[Window], bags: Sequence[Sequence[str]]) -> list[float]:
    """From 0 to 1: of who found it, of the words of the query, or half of each."""
    scores = _scaled([wish.candidates[one.candidate].score for one in windows])
    asked = words(wish.query)
    if not asked:
        return scores if any(scores) else [1.0] * len(windows)
    index: WordIndex[int] = WordIndex()
    for number, bag in enumerate(bags):
        index.add(number, bag)
    found = dict(index.search(asked))
    named = _scaled([found.get(number, 0.0) for number in range(len(windows))])
    if not any(scores):
        return named
    return [(one + other) / 2 for one, other in zip(scores, named, strict=True)]


def _scaled(scores: list[float]) -> list[float]:
    most = max(scores, default=0.0)
    return [score / most for score in scores] if most else scores


def _ordered(wish: Wish, windows: Sequence[Window], scores: dict[Window, float]) -> list[Part]:
    chosen = [window for window in windows if window in scores]
    texts = [one.text for one in wish.candidates]
    stable: list[Part] = []
    for before in wish.previous:
        whole = [one for one in windows if _holds(before, one)]
        same = joined([one for one in whole if one in scores], texts)
        if same != [before]:
            break
        stable.append(Part(before, max(scores[one] for one in whole), is_stable=True))
        chosen = [one for one in chosen if one not in whole]
    rest = [Part(one, _best(one, chosen, scores), is_stable=False) for one in joined(chosen, texts)]
    return stable + _in_order(wish, rest)


def _best(whole: Window, windows: Iterable[Window], scores: dict[Window, float]) -> float:
    return max(scores[one] for one in windows if _holds(whole, one))


def _holds(whole: Window, part: Window) -> bool:
    return whole.candidate == part.candidate and whole.start <= part.start <= part.end <= whole.end


def _in_order(wish: Wish, parts: list[Part]) -> list[Part]:
    best = sorted(parts, key=lambda one: -one.score)
    match wish.order:
        case Order.BEST_FIRST:
            return best
        case Order.BEST_OUTSIDE:
            return best[::2] + best[1::2][::-1]
        case Order.OLDEST_FIRST:
            return sorted(parts, key=lambda one: (-_age_s(wish, one), *_place(one)))


def _age_s(wish: Wish, part: Part) -> float:
    age_s = wish.candidates[part.window.candidate].age_s
    return float("inf") if age_s is None else age_s


def _place(part: Part) -> tuple[int, int]:
    return part.window.candidate, part.window.start
