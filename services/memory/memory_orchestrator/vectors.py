"""Vectors in memory, in blocks that never move: a search compares all of a block with all questions
that wait by one multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

ROWS: Final = 4096
# What is less like a question than that has nothing to do with it.
LIKENESS_MIN: Final = 0.2
Floats: TypeAlias = NDArray[np.float32]
Slots: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


class Blocks:
    """Vectors of one length by slot; a slot without one is like nothing."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: dict[int, Floats] = {}

    @property
    def size_bytes(self) -> int:
        return len(self._blocks) * ROWS * self.dimension * 4

    def put(self, slot: int, vector: bytes) -> None:
        number, row = divmod(slot, ROWS)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = np.zeros((ROWS, self.dimension), np.float32)
        values = np.frombuffer(vector, "<f4")
        length = float(np.linalg.norm(values))
        block[row] = values / length if length else 0.0

    def clear(self, slot: int) -> None:
        number, row = divmod(slot, ROWS)
        if number in self._blocks:
            self._blocks[number][row] = 0.0

    def nearest(
        self, questions: Sequence[Floats], masks: Sequence[Mask], most: int
    ) -> list[tuple[Slots, Floats]]:
        """For each question the slots of its mask that are most like it, the best first."""
        asked = np.stack(questions)
        slots: list[list[Slots]] = [[] for _ in questions]
        scores: list[list[Floats]] = [[] for _ in questions]
        for number, block in sorted(self._blocks.items()):
            found = asked @ block.T
            start = number * ROWS
            for place, mask in enumerate(masks):
                part = mask[start : start + ROWS]
                here = np.flatnonzero(part)
                likeness = found[place, here]
                if len(here) > most:
                    kept = np.argpartition(-likeness, most)[:most]
                    here, likeness = here[kept], likeness[kept]
                slots[place].append(here + start)
                scores[place].append(likeness)
        return [_best(*pair, most) for pair in zip(slots, scores, strict=True)]

    def moved(self, slots: Slots) -> Blocks:
        """Another one, whose slots are these of this one, in their order."""
        made = Blocks(self.dimension)
        for slot, was in enumerate(slots.tolist()):
            number, row = divmod(was, ROWS)
            if number in self._blocks and self._blocks[number][row].any():
                made.put(slot, self._blocks[number][row].tobytes())
        return made


def _best(slots: list[Slots], scores: list[Floats], most: int) -> tuple[Slots, Floats]:
    if not slots:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    every, likeness = np.concatenate(slots), np.concatenate(scores)
    order = np.lexsort((every, -likeness))[:most]
    order = order[likeness[order] >= LIKENESS_MIN]
    return every[order], likeness[order]
