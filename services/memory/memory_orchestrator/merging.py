"""Memories that say the same, and the one that says it for them: pure."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator.place import Place
from services.memory.memory_orchestrator.strength import importance_of
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.ml.text.sentences import sentences
from tandemkit.ml.text.words import words
from tandemkit.storage.memories import subjects_of

# Of so many at most one is made; others get theirs with the next consolidation.
MEMBERS_MAX: Final = 32
_SENTENCES_MAX: Final = 400


def is_candidate(record: nouns.MemoryRecord) -> bool:
    """Facts have their own way to be one, and what was merged is."""
    memory = record.memory
    return (
        memory.tier == nouns.MEMORY_TIER_EPISODIC
        and bool(record.vector)
        and not memory.merged_into
        and not record.HasField("claim")
    )


def alike(
    one: nouns.MemoryRecord, others: Iterable[tuple[Place, nouns.MemoryRecord]], least: float
) -> list[tuple[Place, nouns.MemoryRecord]]:
    """Those that say what it says, of the same subjects and model."""
    vector, about = vector_of(one), subjects_of(one.memory)
    return [
        (place, other)
        for place, other in others
        if other.space == one.space
        and subjects_of(other.memory) == about
        and _likeness(vector, vector_of(other)) >= least
    ]


def merged(
    namespace: str, members: Sequence[tuple[Place, nouns.MemoryRecord]]
) -> tuple[Place, nouns.Memory]:
    """What says it for them, under an id that is the same for the same members."""
    ids = sorted(place.id for place, _ in members)
    said = hashlib.blake2b("\n".join(ids).encode(), digest_size=12).hexdigest()
    memories = [record.memory for _, record in members]
    made = nouns.Memory(
        tier=nouns.MEMORY_TIER_SEMANTIC,
        text=central([memory.text for memory in memories]),
        subjects=list(dict.fromkeys(one for memory in memories for one in memory.subjects)),
        # What is derived is never pinned by itself.
        importance=min(0.99, max(importance_of(memory) for memory in memories)),
    )
    common = {label.SerializeToString(deterministic=True) for label in memories[0].labels}
    for memory in memories[1:]:
        common &= {label.SerializeToString(deterministic=True) for label in memory.labels}
    made.labels.extend(
        label
        for label in memories[0].labels
        if label.SerializeToString(deterministic=True) in common
    )
    made.source.derived_from.extend(place.name for place, _ in members)
    return Place(namespace, f"merged-{said}"), made


def central(texts: Sequence[str]) -> str:
    """The sentence of them that is most like all of them together, by its words."""
    said = [one for text in texts for one in sentences(text)][:_SENTENCES_MAX]
    bags = [Counter(words(one)) for one in said]
    whole: Counter[str] = Counter()
    for bag in bags:
        whole.update(bag)
    best = max(range(len(said)), key=lambda number: (_cosine(bags[number], whole), -number))
    return said[best]


def marked(record: nouns.MemoryRecord, into: Place) -> nouns.MemoryRecord:
    """The same, with what says it now."""
    copy = nouns.MemoryRecord()
    copy.CopyFrom(record)
    copy.memory.merged_into = into.name
    copy.memory.version += 1
    return copy


def record_of(place: Place, memory: nouns.Memory, now: Timestamp) -> nouns.MemoryRecord:
    record = nouns.MemoryRecord(memory=memory)
    made = record.memory
    made.name, made.version, made.standing = place.name, 1, nouns.MEMORY_STANDING_CURRENT
    for moment in (made.create_time, made.learned_at, made.last_used_at):
        moment.CopyFrom(now)
    return record


def vector_of(record: nouns.MemoryRecord) -> tuple[float, ...]:
    return struct.unpack(f"<{len(record.vector) // 4}f", record.vector)


def _likeness(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(mul, one, other)) / lengths if lengths else 0.0


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    lengths = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(count * other[word] for word, count in one.items()) / lengths if lengths else 0.0
