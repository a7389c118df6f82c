"""Copies of memories as the orchestrator told them: bounded, and no older one over a newer."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.core.clock import Clock
from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.text.words import words

# Answers that were asked for before a memory was deleted come no later than that.
_LATE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Copy:
    """A memory, and when it was asked for by the clock's own seconds."""

    memory: Memory
    asked_s: float


class Copies:
    """Those that were used last."""

    def __init__(self, clock: Clock, copies_max: int, bytes_max: int) -> None:
        self._clock, self._copies_max, self._bytes_max = clock, copies_max, bytes_max
        self._held: OrderedDict[str, Copy] = OrderedDict()
        self._bytes = 0
        self._index: WordIndex[str] = WordIndex()
        self._dropped_s: OrderedDict[str, float] = OrderedDict()
        # The same of what was not known by its name, the latest at the end.
        self._dropped: deque[tuple[float, Callable[[Memory], bool]]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def now_s(self) -> float:
        """To be taken before the orchestrator is asked."""
        return self._clock.monotonic_s()

    def of(self, name: str) -> Copy | None:
        found = self._held.get(name)
        if found is not None:
            self._held.move_to_end(name)
        return found

    def age_s(self, copy: Copy) -> float:
        return self.now_s() - copy.asked_s

    def take(self, memory: Memory, asked_s: float) -> None:
        """What was asked for before a newer version came, or before it was deleted, is too late."""
        name, known = memory.name, self._held.get(memory.name)
        if self._is_late(memory, asked_s):
            return
        if known is not None and known.memory.version > memory.version:
            return
        self._remove(name)
        self._held[name] = Copy(memory, asked_s)
        self._bytes += memory.ByteSize()
        self._index.add(name, words(memory.text))
        while len(self._held) > self._copies_max or self._bytes > self._bytes_max:
            self._remove(next(iter(self._held)))

    def newest(self, memory: Memory, asked_s: float) -> Memory | None:
        """What is known by now, where an answer was overtaken; None where it was deleted."""
        known = self._held.get(memory.name)
        if self._is_late(memory, asked_s):
            return known.memory if known else None
        return known.memory if known and known.memory.version > memory.version else memory

    def drop(self, name: str) -> None:
        """It is deleted, or shall be read anew."""
        self._remove(name)
        now_s = self.now_s()
        self._dropped_s[name] = now_s
        self._dropped_s.move_to_end(name)
        while next(iter(self._dropped_s.values())) < now_s - _LATE_S:
            self._dropped_s.popitem(last=False)

    def drop_about(self, is_about: Callable[[Memory], bool]) -> list[str]:
        """All that it holds of are deleted, those on their way too; the names of those here."""
        names = [name for name, one in self._held.items() if is_about(one.memory)]
        for name in names:
            self.drop(name)
        now_s = self.now_s()
        self._dropped.append((now_s, is_about))
        while self._dropped[0][0] < now_s - _LATE_S:
            self._dropped.popleft()
        return names

    def searched(self, query: str) -> Iterator[Memory]:
        """Those that have words of it, the best first."""
        for name, _ in self._index.search(words(query)):
            yield self._held[name].memory

    def _is_late(self, memory: Memory, asked_s: float) -> bool:
        if asked_s <= self._dropped_s.get(memory.name, -inf):
            return True
        for dropped_s, is_about in reversed(self._dropped):
            if dropped_s < asked_s:
                break
            if is_about(memory):
                return True
        return False

    def _remove(self, name: str) -> None:
        found = self._held.pop(name, None)
        if found is not None:
            self._bytes -= found.memory.ByteSize()
            self._index.remove(name)
