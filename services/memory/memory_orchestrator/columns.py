"""What filters and rankings ask of memories besides words and vectors: a row of numbers each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.memory.memory_orchestrator.question import Question
from services.memory.memory_orchestrator.strength import FLOOR, Fading, importance_of
from services.memory.memory_orchestrator.vectors import Floats, Mask, Slots
from services.memory.memory_orchestrator.wanted import span_of
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.protocol import Label
from tandemkit.storage.vectors.wire import labels_of

_ROW: Final = np.dtype(
    [
        ("alive", "?"),
        ("tier", "u1"),
        ("uses", "u4"),
        ("length", "f4"),
        ("importance", "f4"),
        ("used_s", "f8"),
        ("learned", "i8"),
        ("start", "i8"),
        ("end", "i8"),
        ("said", "i8"),
    ]
)
# The row, and what Python keeps of a slot: its id, twice, and its number.
SLOT_BYTES: Final = _ROW.itemsize + 220
_ROOM_MIN: Final = 64
_MOMENTS: Final = np.iinfo(np.int64)


class Columns:
    """By slot, from 0 on. Slots only rise, until `moved`."""

    def __init__(self) -> None:
        self._rows: NDArray[np.void] = np.zeros(_ROOM_MIN, _ROW)
        self._labels: dict[int, Mapping[str, Label]] = {}
        self.ids: list[str] = []

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> NDArray[np.void]:
        return self._rows[: len(self.ids)]

    def add(self, memory_id: str, memory: nouns.Memory, said: int, length: int) -> int:
        """Its slot. `said` is a hash of what it is found by."""
        slot = len(self.ids)
        self.ids.append(memory_id)
        if slot >= len(self._rows):
            room = np.zeros(len(self._rows) // 2, _ROW)
            self._rows = np.concatenate([self._rows, room])
        row = self._rows[slot]
        row["said"], row["length"], row["alive"] = said, length, True
        if memory.labels:
            self._labels[slot] = labels_of(memory.labels)
        return slot

    def drop(self, slot: int) -> None:
        self._rows[slot]["alive"] = False
        self._labels.pop(slot, None)

    def says(self, slot: int, said: int) -> bool:
        return bool(self._rows[slot]["said"] == said)

    def describe(self, slot: int, memory: nouns.Memory) -> None:
        """What changes without its being found by anything else."""
        row = self._rows[slot]
        row["tier"], row["uses"] = memory.tier, memory.uses
        row["importance"] = importance_of(memory)
        row["used_s"] = memory.last_used_at.ToMicroseconds() / 1e6
        row["learned"] = memory.learned_at.ToMicroseconds()
        start, end = span_of(memory)
        row["start"], row["end"] = max(start, _MOMENTS.min), min(end, _MOMENTS.max)

    def mask(self, question: Question, about: Mask | None, fading: Fading) -> Mask:
        """Which slots fit; `about` are those of its subjects, if it names any."""
        rows, wanted = self.rows, question.wanted
        mask: Mask = rows["alive"] & (rows["start"] <= wanted.valid_at)
        mask &= rows["end"] > wanted.valid_at
        if wanted.known_at < _MOMENTS.max:
            mask &= rows["learned"] <= wanted.known_at
        if wanted.tiers:
            mask &= np.isin(rows["tier"], list(wanted.tiers))
        if about is not None:
            mask &= about
        if wanted.strength_min:
            mask &= self._strength(fading, question.now_s) >= wanted.strength_min
        if wanted.where:
            for slot in np.flatnonzero(mask).tolist():
                mask[slot] = fulfils(self._labels.get(slot, {}), wanted.where)
        return mask

    def moved(self, kept: Slots) -> Columns:
        """Another one, whose slots are these of this one, in their order."""
        made = Columns()
        made.ids = [self.ids[slot] for slot in kept.tolist()]
        made._rows = np.zeros(max(_ROOM_MIN, len(kept)), _ROW)
        made._rows[: len(kept)] = self._rows[kept]
        made._labels = {
            slot: self._labels[was] for slot, was in enumerate(kept.tolist()) if was in self._labels
        }
        return made

    def named(self, slots: Slots) -> Sequence[str]:
        return [self.ids[slot] for slot in slots.tolist()]

    def _strength(self, fading: Fading, now_s: float) -> Floats:
        """As `Fading.strength` has it."""
        rows, half_lives = self.rows, np.ones(256)
        for tier, half_life_s in fading.half_life_s.items():
            half_lives[tier] = half_life_s
        ages = np.maximum(0.0, now_s - rows["used_s"])
        kept = 0.5 ** (ages / (half_lives[rows["tier"]] * (1.0 + np.log1p(rows["uses"]))))
        strength = kept * (FLOOR + (1.0 - FLOOR) * rows["importance"])
        return np.where(rows["importance"] >= 1.0, 1.0, strength).astype(np.float32)
