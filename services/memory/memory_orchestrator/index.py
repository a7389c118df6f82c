"""The memories of one namespace as a search finds them: words, vectors and what filters ask for. It
follows the store, and is never the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from services.memory.memory_orchestrator.columns import SLOT_BYTES, Columns
from services.memory.memory_orchestrator.postings import Postings
from services.memory.memory_orchestrator.question import Answer, Question
from services.memory.memory_orchestrator.strength import Fading
from services.memory.memory_orchestrator.vectors import Blocks, Mask, Slots
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.ml.text.words import words
from tandemkit.storage.memories import subjects_of
from tandemkit.storage.vectors.protocol import Space
from tandemkit.storage.vectors.wire import space_of

_HOLES_MIN: Final = 1024


class Index:
    """Not to be used by two threads at once."""

    def __init__(self, fading: Fading) -> None:
        self._fading = fading
        self._columns = Columns()
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
        return blocks + held + len(self._columns) * SLOT_BYTES

    def put(self, memory_id: str, record: nouns.MemoryRecord) -> None:
        memory = record.memory
        said = hash((memory.text, subjects_of(memory), *map(str, memory.labels)))
        slot = self._slots.get(memory_id)
        if slot is None or not self._columns.says(slot, said):
            if slot is not None:
                self._drop(memory_id)
            slot = self._added(memory_id, memory, said)
        self._columns.describe(slot, memory)
        self._place_vector(memory_id, slot, record)

    def remove(self, memory_id: str) -> None:
        if memory_id in self._slots:
            self._drop(memory_id)

    def tidy(self, *, always: bool = False) -> None:
        """Gives up the room of what is gone, where that is worth it."""
        holes = len(self._columns) - len(self._slots)
        if holes and (always or holes > max(_HOLES_MIN, len(self._columns) // 4)):
            self._compact()

    def adopt(self, space: Space) -> None:
        """From now on vectors are of that space; those of another wait to be made again."""
        if space == self.space:
            return
        self.space, self._blocks = space, Blocks(space.dimension)
        self.pending = dict.fromkeys(self._slots)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        masks = [self._columns.mask(one, self._about(one), self._fading) for one in questions]
        by_words = [self._by_words(*pair) for pair in zip(questions, masks, strict=True)]
        by_meaning = self._by_meaning(questions, masks)
        return [
            Answer(lexical, by_meaning.get(number, ()), self._unlike(questions[number]))
            for number, lexical in enumerate(by_words)
        ]

    def _about(self, question: Question) -> Mask | None:
        subjects = question.wanted.subjects
        return self._subjects.having(subjects, len(self._columns)) if subjects else None

    def _unlike(self, question: Question) -> int:
        if question.space is not None and question.space != self.space:
            return len(self._slots)
        return len(self.pending)

    def _by_words(self, question: Question, mask: Mask) -> Sequence[str]:
        rows = self._columns.rows
        scores = self._words.scores(question.words, rows["alive"], rows["length"])
        found = np.flatnonzero((scores > 0) & mask)
        if len(found) > question.most:
            best = np.argpartition(-scores[found], question.most)[: question.most]
            found = found[best]
        order = np.lexsort((found, -scores[found]))
        return self._columns.named(found[order])

    def _by_meaning(
        self, questions: Sequence[Question], masks: Sequence[Mask]
    ) -> dict[int, Sequence[str]]:
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
            number: self._columns.named(slots[: questions[number].most])
            for number, (slots, _) in zip(asked, found, strict=True)
        }

    def _added(self, memory_id: str, memory: nouns.Memory, said: int) -> int:
        counts = Counter(words(memory.text))
        slot = self._columns.add(memory_id, memory, said, counts.total())
        self._slots[memory_id] = slot
        self._words.add(slot, counts)
        self._subjects.add(slot, Counter(subjects_of(memory)))
        return slot

    def _place_vector(self, memory_id: str, slot: int, record: nouns.MemoryRecord) -> None:
        space = space_of(record.space) if record.vector else None
        if space is not None and self.space is None:
            self.adopt(space)
        if space is not None and space == self.space and self._blocks is not None:
            self._blocks.put(slot, record.vector)
            self.pending.pop(memory_id, None)
        elif record.unembeddable_cause:
            self.pending.pop(memory_id, None)
        else:
            self.pending[memory_id] = None

    def _drop(self, memory_id: str) -> None:
        slot = self._slots.pop(memory_id)
        self._columns.drop(slot)
        self.pending.pop(memory_id, None)
        if self._blocks:
            self._blocks.clear(slot)

    def _compact(self) -> None:
        kept = np.flatnonzero(self._columns.rows["alive"])
        places = np.full(len(self._columns), -1, np.int64)
        places[kept] = np.arange(len(kept))
        self._columns = self._columns.moved(kept)
        self._slots = {memory_id: slot for slot, memory_id in enumerate(self._columns.ids)}
        self._words, self._subjects = self._words.moved(places), self._subjects.moved(places)
        if self._blocks is not None:
            self._blocks = self._blocks.moved(kept)

    def _slots_of(self, ids: Mapping[str, None]) -> Slots:
        return np.fromiter((self._slots[one] for one in ids), np.int64, len(ids))
