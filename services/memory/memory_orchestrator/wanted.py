"""What a search asks for besides likeness: the same question of an index and of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import facts
from services.memory.memory_orchestrator.strength import Fading
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.memories import subjects_of
from tandemkit.storage.subjects import folded
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.protocol import Filter
from tandemkit.storage.vectors.wire import filter_of, labels_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """Moments are microseconds."""

    tiers: frozenset[int]
    subjects: frozenset[str]
    where: Filter
    valid_at: int
    known_at: int
    strength_min: float

    @classmethod
    def of(cls, request: pb.SearchMemoriesRequest, now: datetime) -> Wanted:
        present = Timestamp()
        present.FromDatetime(now)
        moment = request.valid_at if request.HasField("valid_at") else present
        return cls(
            frozenset(request.tiers) - {nouns.MEMORY_TIER_UNSPECIFIED},
            frozenset(folded(one) for one in request.subjects),
            filter_of(request.filter),
            moment.ToMicroseconds(),
            request.known_at.ToMicroseconds() if request.HasField("known_at") else facts.NEVER,
            request.min_strength,
        )

    def fits(self, memory: nouns.Memory, fading: Fading, now: datetime) -> bool:
        start, end = span_of(memory)
        return (
            (not self.tiers or memory.tier in self.tiers)
            and (not self.subjects or not self.subjects.isdisjoint(subjects_of(memory)))
            and start <= self.valid_at < end
            and memory.learned_at.ToMicroseconds() <= self.known_at
            and fulfils(labels_of(memory.labels), self.where)
            and (not self.strength_min or fading.strength(memory, now) >= self.strength_min)
        )


def span_of(memory: nouns.Memory) -> tuple[int, int]:
    """From when it is true, and until when."""
    start = memory.valid_from.ToMicroseconds() if memory.HasField("valid_from") else facts.ALWAYS
    end = memory.valid_to.ToMicroseconds() if memory.HasField("valid_to") else facts.NEVER
    return start, end
