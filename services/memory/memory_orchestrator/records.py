"""What requests make of records: pure, but for the moment that they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import refusal
from services.memory.memory_orchestrator.facts import ALWAYS, NEVER, micros
from services.memory.memory_orchestrator.place import Place
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.subjects import folded

_GIVEN: Final = (
    "tier",
    "text",
    "subjects",
    "labels",
    "importance",
    "fact",
    "valid_from",
    "valid_to",
    "source",
)
_CHANGEABLE: Final = frozenset({*_GIVEN, "standing"})
_CLAIMED: Final = frozenset({"fact", "valid_from", "valid_to"})
_REQUEST_IDS: Final = 8


def digest_of(memory: nouns.Memory) -> bytes:
    """The same for the same request."""
    given = nouns.Memory()
    _copy(memory, given, _GIVEN)
    return hashlib.sha256(given.SerializeToString(deterministic=True)).digest()


def added(
    place: Place, given: nouns.Memory, now: Timestamp, functional: frozenset[str]
) -> nouns.MemoryRecord:
    """The record of a memory that nobody had. Raises CallerError."""
    record = nouns.MemoryRecord(digest=digest_of(given))
    memory = record.memory
    _copy(given, memory, _GIVEN)
    memory.name, memory.version = place.name, 1
    if not memory.tier:
        is_fact = memory.HasField("fact")
        memory.tier = nouns.MEMORY_TIER_SEMANTIC if is_fact else nouns.MEMORY_TIER_EPISODIC
    memory.standing = nouns.MEMORY_STANDING_CURRENT
    for moment in (memory.create_time, memory.learned_at, memory.last_used_at):
        moment.CopyFrom(now)
    _complete(record, now, functional)
    return record


def updated(
    record: nouns.MemoryRecord,
    request: pb.UpdateMemoryRequest,
    now: Timestamp,
    functional: frozenset[str],
) -> None:
    """Changes the record as the request says. Raises CallerError."""
    paths = frozenset(request.update_mask.paths)
    if wrong := sorted(paths - _CHANGEABLE) or ([] if paths else [""]):
        raise refusal.unmasked(wrong[0])
    memory = record.memory
    if record.HasField("claim"):
        # What others made of it is no part of what it says.
        _restore(memory, record.claim)
    was = memory.text
    if "text" not in paths and memory.HasField("fact") and was == said(memory.fact):
        memory.text = ""
    _copy(request.memory, memory, paths & frozenset(_GIVEN))
    if "standing" in paths:
        _decide(record, request.memory.standing, now)
    memory.learned_at.CopyFrom(now)
    memory.last_used_at.CopyFrom(now)
    memory.version += 1
    if paths & _CLAIMED:
        record.ClearField("claim")
    _complete(record, now, functional)
    if memory.text != was:
        record.ClearField("vector")
        record.ClearField("space")
        record.ClearField("unembeddable_cause")
        memory.is_embedded = False
    if request.request_id:
        record.request_ids.append(request.request_id)
        del record.request_ids[:-_REQUEST_IDS]


def said(fact: nouns.Fact) -> str:
    return f"{fact.subject} {fact.predicate} {fact.object}"


def _decide(record: nouns.MemoryRecord, standing: int, now: Timestamp) -> None:
    if standing != nouns.MEMORY_STANDING_CURRENT:
        raise refusal.unmasked("standing")
    against = (Place.of(name).id for name in record.memory.contradicts)
    record.decided_over.extend(sorted(set(against) - set(record.decided_over)))
    record.decided_at.CopyFrom(now)


def _complete(record: nouns.MemoryRecord, now: Timestamp, functional: frozenset[str]) -> None:
    memory = record.memory
    if memory.HasField("fact"):
        memory.fact.is_functional |= folded(memory.fact.predicate) in functional
        if not memory.HasField("valid_from"):
            memory.valid_from.CopyFrom(now)
        memory.text = memory.text or said(memory.fact)
        record.claim.fact.CopyFrom(memory.fact)
        _copy(memory, record.claim, ("valid_from", "valid_to"))
    else:
        record.ClearField("beliefs")
        memory.ClearField("contradicts")
        memory.standing = nouns.MEMORY_STANDING_CURRENT
    if not memory.text.strip():
        raise refusal.empty()
    start = micros(memory.valid_from, ALWAYS) if memory.HasField("valid_from") else ALWAYS
    if memory.HasField("valid_to") and micros(memory.valid_to, NEVER) <= start:
        raise refusal.untimely()


def _restore(memory: nouns.Memory, claim: nouns.Belief) -> None:
    _copy(claim, memory, ("fact", "valid_from", "valid_to"))


def _copy(source: Message, target: Message, fields: Iterable[str]) -> None:
    """Those that the source does not have, the target has no more."""
    for name in fields:
        target.ClearField(name)
    for field, value in source.ListFields():
        if field.name not in fields:
            continue
        if field.message_type is not None or field.is_repeated:
            getattr(target, field.name).MergeFrom(value)
        else:
            setattr(target, field.name, value)
