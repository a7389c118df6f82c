"""Whether a memory is what a search asks for, besides its words. The orchestrator asks the same."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.memory.v1.memory_orchestrator_service_pb2 import SearchMemoriesRequest
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.storage.memories import subjects_of
from tandemkit.storage.subjects import folded
from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.wire import filter_of, labels_of


def fits(request: SearchMemoriesRequest, memory: Memory, now: datetime) -> bool:
    """By tier, subjects, labels, validity and what is known of its strength."""
    wanted = {folded(one) for one in request.subjects}
    return (
        (not request.tiers or memory.tier in request.tiers)
        and (not wanted or not wanted.isdisjoint(subjects_of(memory)))
        and _is_true(request, memory, now)
        and fulfils(labels_of(memory.labels), filter_of(request.filter))
        and memory.strength >= request.min_strength
    )


def _is_true(request: SearchMemoriesRequest, memory: Memory, now: datetime) -> bool:
    """At the moment that is asked for, and as it was known at the other."""
    moment = Timestamp()
    moment.FromDatetime(now)
    if request.HasField("valid_at"):
        moment = request.valid_at
    at_ns = moment.ToNanoseconds()
    if memory.HasField("valid_from") and memory.valid_from.ToNanoseconds() > at_ns:
        return False
    if memory.HasField("valid_to") and memory.valid_to.ToNanoseconds() <= at_ns:
        return False
    learned_ns = memory.learned_at.ToNanoseconds()
    return not request.HasField("known_at") or learned_ns <= request.known_at.ToNanoseconds()
