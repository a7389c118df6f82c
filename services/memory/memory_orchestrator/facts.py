"""What claims about one thing make of each other: pure, and the same in whatever order they came.

Two claims are at odds where they name different objects for the same time. The later one, if it is
at least as sure, closes the earlier one; else neither can be preferred, until somebody decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator.place import Place
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.subjects import folded

ALWAYS: Final = -(2**63)
NEVER: Final = 2**63
AGAINST_MAX: Final = 32
# Of one memory, the latest; what was known before them is not answered any more.
BELIEFS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """That something is the object from `start` to before `end`, in microseconds. `over` are claims
    over which somebody decided for it, at `decided`.
    """

    id: str
    object: str
    start: int
    end: int
    confidence: float
    over: frozenset[str] = frozenset()
    decided: int = ALWAYS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a claim: up to when it holds, and which others say otherwise."""

    end: int
    standing: nouns.MemoryStanding.ValueType
    against: tuple[str, ...] = ()


def outcomes(claims: Sequence[Claim]) -> dict[str, Outcome]:
    """Of each, by its id. A claim that lost all of its time ends where it starts."""
    odd = {one.id: [other for other in claims if _are_at_odds(one, other)] for one in claims}
    lost = {
        one.id
        for one in claims
        if any(_decides(other, one) and other.start <= one.start for other in odd[one.id])
    }
    ends = {
        one.id: one.start
        if one.id in lost
        else min(
            (other.start for other in odd[one.id] if other.id not in lost and _closes(other, one)),
            default=one.end,
        )
        for one in claims
    }
    return {one.id: _outcome(one, odd[one.id], ends) for one in claims}


def _outcome(one: Claim, odd: Sequence[Claim], ends: dict[str, int]) -> Outcome:
    end = ends[one.id]
    against = sorted(other.id for other in odd if one.start < ends[other.id] and other.start < end)
    if against:
        return Outcome(end, nouns.MEMORY_STANDING_CONTRADICTED, tuple(against[:AGAINST_MAX]))
    if end < one.end:
        return Outcome(end, nouns.MEMORY_STANDING_SUPERSEDED)
    return Outcome(end, nouns.MEMORY_STANDING_CURRENT)


def _are_at_odds(one: Claim, other: Claim) -> bool:
    return one.object != other.object and one.start < other.end and other.start < one.end


def _decides(one: Claim, other: Claim) -> bool:
    """Whether somebody decided for `one`, and has not decided otherwise since."""
    if other.id not in one.over:
        return False
    return one.id not in other.over or (one.decided, one.id) > (other.decided, other.id)


def _closes(later: Claim, one: Claim) -> bool:
    """Of two that are at odds."""
    if later.start <= one.start or _decides(one, later):
        return False
    return later.confidence >= one.confidence or _decides(later, one)


def claim_of(memory_id: str, record: nouns.MemoryRecord) -> Claim:
    claim = record.claim
    confidence = claim.fact.confidence if claim.fact.HasField("confidence") else 1.0
    return Claim(
        memory_id,
        folded(claim.fact.object),
        micros(claim.valid_from, ALWAYS) if claim.HasField("valid_from") else ALWAYS,
        micros(claim.valid_to, NEVER) if claim.HasField("valid_to") else NEVER,
        confidence,
        frozenset(record.decided_over),
        record.decided_at.ToMicroseconds() if record.HasField("decided_at") else ALWAYS,
    )


def micros(moment: Timestamp | None, unset: int) -> int:
    return unset if moment is None else moment.ToMicroseconds()


def settle(record: nouns.MemoryRecord, outcome: Outcome, now: Timestamp, namespace: str) -> bool:
    """Has the record say what came of its claim; whether that is news. What was known before is
    kept, up to `now`.
    """
    belief = nouns.Belief(
        fact=record.claim.fact, standing=outcome.standing, contradicts=outcome.against
    )
    if record.claim.HasField("valid_from"):
        belief.valid_from.CopyFrom(record.claim.valid_from)
    if outcome.end < NEVER:
        belief.valid_to.FromMicroseconds(outcome.end)
    if record.beliefs:
        last = record.beliefs[-1]
        belief.learned_at.CopyFrom(last.learned_at)
        if belief == last:
            tell(record.memory, last, namespace)
            return False
        last.unlearned_at.CopyFrom(now)
    belief.learned_at.CopyFrom(now)
    record.beliefs.append(belief)
    del record.beliefs[:-BELIEFS_MAX]
    tell(record.memory, belief, namespace)
    return True


def tell(memory: nouns.Memory, belief: nouns.Belief, namespace: str) -> None:
    """Has the memory say what was known while the belief stood."""
    memory.fact.CopyFrom(belief.fact)
    memory.standing = belief.standing
    for field in ("valid_from", "valid_to", "learned_at", "unlearned_at"):
        memory.ClearField(field)
        if belief.HasField(field):
            getattr(memory, field).CopyFrom(getattr(belief, field))
    del memory.contradicts[:]
    memory.contradicts.extend(Place(namespace, one).name for one in belief.contradicts)


def known_at(record: nouns.MemoryRecord, moment: Timestamp) -> nouns.Belief | None:
    """What was known of its fact then; None where nothing was."""
    at = moment.ToMicroseconds()
    for belief in reversed(record.beliefs):
        if belief.learned_at.ToMicroseconds() <= at:
            over = belief.HasField("unlearned_at") and belief.unlearned_at.ToMicroseconds() <= at
            return None if over else belief
    return None


def holds_at(belief: nouns.Belief, moment: Timestamp) -> bool:
    at = moment.ToMicroseconds()
    starts = not belief.HasField("valid_from") or belief.valid_from.ToMicroseconds() <= at
    return starts and (not belief.HasField("valid_to") or at < belief.valid_to.ToMicroseconds())
