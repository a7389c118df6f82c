"""The turns of one session as they are held in memory: found by id, number and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.memory.session_memory import digest
from tandem.memory.v1.session_pb2 import DigestSentence, Turn
from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.text.words import words

# Turns of a chapter make room together. What was central to a whole one, and to a volume, is found
# once, so that a window's cost does not grow with the dialogue.
CHAPTER: Final = 32
_VOLUME: Final = 16 * CHAPTER


class Dialogue:
    """`forgotten` is what was central to turns that made room."""

    def __init__(self, turns: Iterable[Turn], forgotten: list[DigestSentence]) -> None:
        self.turns: dict[int, Turn] = {}
        self.forgotten = forgotten
        self._numbers: dict[str, int] = {}
        self._index: WordIndex[int] = WordIndex()
        self._whole: dict[tuple[int, int], list[DigestSentence]] = {}
        for turn in turns:
            self.add(turn)

    def add(self, turn: Turn) -> None:
        """Behind all others."""
        self.turns[turn.number] = turn
        self._numbers[turn.turn_id] = turn.number
        self._index.add(turn.number, words(turn.text))

    def remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            turn = self.turns.pop(number)
            del self._numbers[turn.turn_id]
            self._index.remove(number)
            for size in (CHAPTER, _VOLUME):
                self._whole.pop((_begin(number, size), size), None)

    @property
    def end(self) -> int:
        """Behind the last number."""
        return next(reversed(self.turns), 0) + 1

    def found(self, turn_id: str) -> Turn | None:
        number = self._numbers.get(turn_id)
        return None if number is None else self.turns[number]

    def but(self, numbers: Iterable[int]) -> list[Turn]:
        """All others."""
        gone = set(numbers)
        return [turn for turn in self.turns.values() if turn.number not in gone]

    def first_chapter(self) -> list[Turn]:
        """The oldest turns that make room together."""
        first = _begin(next(iter(self.turns)), CHAPTER)
        return [turn for turn in self.turns.values() if turn.number < first + CHAPTER]

    def searched(self, query: str) -> list[tuple[int, float]]:
        """Numbers of turns that have words of it, and how well they fit, the best first."""
        return self._index.search(words(query))

    def central_before(self, number: int) -> list[DigestSentence]:
        """What was central to all that was said before that turn."""
        said = list(self.forgotten)
        begin = _begin(next(iter(self.turns), number), CHAPTER)
        while begin < number:
            sizes = (one for one in (_VOLUME, CHAPTER) if begin == _begin(begin, one))
            size = next((one for one in sizes if begin + one <= number), 0)
            said += self._central(begin, size) if size else self._chapter(begin, number)
            begin += size or CHAPTER
        return said

    def about(self, is_about: Callable[[Turn | DigestSentence], bool]) -> list[int]:
        """Numbers of turns."""
        return [turn.number for turn in self.turns.values() if is_about(turn)]

    def _central(self, begin: int, size: int) -> list[DigestSentence]:
        """Of a whole chapter or volume; computed once."""
        found = self._whole.get((begin, size))
        if found is None:
            if size == CHAPTER:
                found = self._chapter(begin, begin + CHAPTER)
            else:
                parts = (self._central(one, CHAPTER) for one in range(begin, begin + size, CHAPTER))
                said = [one for part in parts for one in part]
                found = digest.condensed(said, digest.VOLUME_TOKENS)
            self._whole[begin, size] = found
        return found

    def _chapter(self, begin: int, end: int) -> list[DigestSentence]:
        turns = (self.turns.get(one) for one in range(begin, end))
        return digest.chapter([turn for turn in turns if turn is not None])


def _begin(number: int, size: int) -> int:
    """The number that its chapter or volume begins with."""
    return (number - 1) // size * size + 1
