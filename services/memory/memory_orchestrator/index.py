"""The memories of one namespace as a search finds them: words, vectors and what filters ask for. It
follows the store, and is never the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.memory.memory_orchestrator.postings import Postings
from services.memory.memory_orchestrator.question import Answer, Question
from services.memory.memory_orchestrator.strength import FLOOR, Fading, importance_of
from services.memory.memory_orchestrator.vectors import Blocks, Floats, Mask, Slots
from services.memory.memory_orchestrator.wanted import span_of, subjects_of
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.ml.text.words import words
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.protocol import Label, Space
from tandemkit.storage.vectors.wire import labels_of, space_of

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
_SLOT_BYTES: Final = _ROW.itemsize + 220
_HOLES_MIN: Final = 1024
_ROOM_MIN: Final = 64
_MOMENTS: Final = np.iinfo(np.int64)


@dataclass(slots=True)
class _Columns:
    """What is told of slots besides words and vectors."""

    rows: NDArray[np.void] = field(default_factory=lambda: np.zeros(_ROOM_MIN, _ROW))
    ids: list[str] = field(default_factory=list)
    labels: dict[int, Mapping[str, Label]] = field(default_factory=dict)

    def next(self, memory_id: str) -> int:
        slot = len(self.ids)
        self.ids.append(memory_id)
        if slot >= len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros(len(self.rows) // 2, _ROW)])
        return slot


class Index:
    """Not to be used by two threads at once."""

    def __init__(self, fading: Fading) -> None:
        self._fading = fading
        self._columns = _Columns()
        self._slots: dict[str, int] = {}
        self._words, self._subjects = Postings(), Postings()
        self._blocks: Blocks | None = None
        self.space: Space | None = None
        # Ids of those that wait for a vector of the space, in the order in which they came.
        self.pending: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def size_bytes(self) -> int:
        blocks = self._blocks.size_bytes if self._blocks else 0
        held = self._words.size_bytes + self._subjects.size_bytes
        return blocks + held + len(self._columns.ids) * _SLOT_BYTES

    def put(self, memory_id: str, record: nouns.MemoryRecord) -> None:
        memory = record.memory
        said = hash((memory.text, subjects_of(memory), *map(str, memory.labels)))
        slot = self._slots.get(memory_id)
        if slot is None or self._columns.rows[slot]["said"] != said:
            if slot is not None:
                self._drop(memory_id)
            slot = self._added(memory_id, memory, said)
        self._describe(slot, memory)
        self._place_vector(memory_id, slot, record)

    def remove(self, memory_id: str) -> None:
        if memory_id in self._slots:
            self._drop(memory_id)

    def tidy(self, *, always: bool = False) -> None:
        """Gives up the room of what is gone, where that is worth it."""
        holes = len(self._columns.ids) - len(self._slots)
        if holes and (always or holes > max(_HOLES_MIN, len(self._columns.ids) // 4)):
            self._compact()

    def adopt(self, space: Space) -> None:
        """From now on vectors are of that space; those of another wait to be made again."""
        if space == self.space:
            return
        self.space, self._blocks = space, Blocks(space.dimension)
        self.pending = dict.fromkeys(self._slots)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        masks = [self._mask(one) for one in questions]
        by_words = [self._by_words(*pair) for pair in zip(questions, masks, strict=True)]
        by_meaning = self._by_meaning(questions, masks)
        return [
            Answer(lexical, by_meaning.get(number, ()), self._unlike(questions[number]))
            for number, lexical in enumerate(by_words)
        ]

    def _unlike(self, question: Question) -> int:
        if question.space is not None and question.space != self.space:
            return len(self._slots)
        return len(self.pending)

    def _by_words(self, question: Question, mask: Mask) -> list[str]:
        size = len(self._columns.ids)
        rows = self._columns.rows[:size]
        scores = self._words.scores(question.words, rows["alive"], rows["length"])
        found = np.flatnonzero((scores > 0) & mask)
        if len(found) > question.most:
            best = np.argpartition(-scores[found], question.most)[: question.most]
            found = found[best]
        order = np.lexsort((found, -scores[found]))
        return self._named(found[order])

    def _by_meaning(
        self, questions: Sequence[Question], masks: Sequence[Mask]
    ) -> dict[int, list[str]]:
        asked = [
            number
            for number, one in enumerate(questions)
            if one.vector is not None and one.space == self.space
        ]
        if self._blocks is None or not asked:
            return {}
        waiting = self._slots_of(self.pending)
        vectors = []
        for number in asked:
            masks[number][waiting] = False
            vectors.append(np.array(questions[number].vector, np.float32))
        most = max(questions[number].most for number in asked)
        found = self._blocks.nearest(vectors, [masks[number] for number in asked], most)
        return {
            number: self._named(slots[: questions[number].most])
            for number, (slots, _) in zip(asked, found, strict=True)
        }

    def _mask(self, question: Question) -> Mask:
        size, wanted = len(self._columns.ids), question.wanted
        rows = self._columns.rows[:size]
        mask: Mask = rows["alive"] & (rows["start"] <= wanted.valid_at)
        mask &= rows["end"] > wanted.valid_at
        if wanted.known_at < _MOMENTS.max:
            mask &= rows["learned"] <= wanted.known_at
        if wanted.tiers:
            mask &= np.isin(rows["tier"], list(wanted.tiers))
        if wanted.subjects:
            mask &= self._subjects.having(wanted.subjects, size)
        if wanted.strength_min:
            mask &= self._strength(rows, question.now_s) >= wanted.strength_min
        if wanted.where:
            labels = self._columns.labels
            for slot in np.flatnonzero(mask).tolist():
                mask[slot] = fulfils(labels.get(slot, {}), wanted.where)
        return mask

    def _strength(self, rows: NDArray[np.void], now_s: float) -> Floats:
        """As `Fading.strength` has it."""
        half_lives = np.ones(256)
        for tier, half_life_s in self._fading.half_life_s.items():
            half_lives[tier] = half_life_s
        ages = np.maximum(0.0, now_s - rows["used_s"])
        kept = 0.5 ** (ages / (half_lives[rows["tier"]] * (1.0 + np.log1p(rows["uses"]))))
        strength = kept * (FLOOR + (1.0 - FLOOR) * rows["importance"])
        return np.where(rows["importance"] >= 1.0, 1.0, strength).astype(np.float32)

    def _added(self, memory_id: str, memory: nouns.Memory, said: int) -> int:
        slot = self._slots[memory_id] = self._columns.next(memory_id)
        counts = Counter(words(memory.text))
        self._words.add(slot, counts)
        self._subjects.add(slot, Counter(subjects_of(memory)))
        row = self._columns.rows[slot]
        row["said"], row["length"], row["alive"] = said, counts.total(), True
        if memory.labels:
            self._columns.labels[slot] = labels_of(memory.labels)
        return slot

    def _describe(self, slot: int, memory: nouns.Memory) -> None:
        row = self._columns.rows[slot]
        row["tier"], row["uses"] = memory.tier, memory.uses
        row["importance"] = importance_of(memory)
        row["used_s"] = memory.last_used_at.ToMicroseconds() / 1e6
        row["learned"] = memory.learned_at.ToMicroseconds()
        start, end = span_of(memory)
        row["start"], row["end"] = max(start, _MOMENTS.min), min(end, _MOMENTS.max)

    def _place_vector(self, memory_id: str, slot: int, record: nouns.MemoryRecord) -> None:
        space = space_of(record.space) if record.vector else None
        if space is not None and self.space is None:
            self.adopt(space)
        if space is not None and space == self.space and self._blocks is not None:
            self._blocks.put(slot, record.vector)
            self.pending.pop(memory_id, None)
        elif not record.unembeddable_cause:
            self.pending[memory_id] = None

    def _drop(self, memory_id: str) -> None:
        slot = self._slots.pop(memory_id)
        self._columns.rows[slot]["alive"] = False
        self._columns.labels.pop(slot, None)
        self.pending.pop(memory_id, None)
        if self._blocks:
            self._blocks.clear(slot)

    def _compact(self) -> None:
        kept = np.flatnonzero(self._columns.rows[: len(self._columns.ids)]["alive"])
        places = np.full(len(self._columns.ids), -1, np.int64)
        places[kept] = np.arange(len(kept))
        was, made = self._columns, _Columns()
        made.ids = [was.ids[slot] for slot in kept.tolist()]
        made.rows = np.zeros(max(_ROOM_MIN, len(kept)), _ROW)
        made.rows[: len(kept)] = was.rows[kept]
        made.labels = {int(places[slot]): one for slot, one in was.labels.items()}
        self._columns = made
        self._slots = {memory_id: slot for slot, memory_id in enumerate(made.ids)}
        self._words, self._subjects = self._words.moved(places), self._subjects.moved(places)
        if self._blocks is not None:
            self._blocks = self._blocks.moved(kept)

    def _slots_of(self, ids: Mapping[str, None]) -> Slots:
        return np.fromiter((self._slots[one] for one in ids), np.int64, len(ids))

    def _named(self, slots: Slots) -> list[str]:
        return [self._columns.ids[slot] for slot in slots.tolist()]
