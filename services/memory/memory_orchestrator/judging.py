"""A functional fact is written together with what it makes of the others of its subject and
predicate, whose writers take turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeGuard

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import refusal
from services.memory.memory_orchestrator.facts import Outcome, claim_of, outcomes, settle
from services.memory.memory_orchestrator.held import Held, held, written
from services.memory.memory_orchestrator.place import Place, facts_beginning, turn_key
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.storage.state.protocol import PAGE_ENTRIES_MAX, Change, StateStore

# Of one subject and functional predicate: all of them, and those that one write may change.
_FACTS_MAX: Final = 500
_CHANGED_MAX: Final = 80
_CURRENT: Final = nouns.MEMORY_STANDING_CURRENT


class Judging:
    """Raises what the store raises."""

    def __init__(self, store: StateStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def changes(
        self, place: Place, before: nouns.MemoryRecord | None, after: nouns.MemoryRecord | None
    ) -> list[Change]:
        """What becomes of the other facts where one record takes the other's place, and the turn of
        their writers; `after` itself is changed in its place. Raises CallerError.
        """
        if after is not None and is_fact(after) and not after.claim.fact.is_functional:
            end = claim_of(place.id, after).end
            settle(after, Outcome(end, _CURRENT), self._after_all([after]), place.namespace)
        keys = {
            turn_key(place.namespace, one.claim.fact): one.claim.fact
            for one in (before, after)
            if is_functional(one)
        }
        changes: list[Change] = []
        for key, fact in sorted(keys.items()):
            # The turn before the others: who writes meanwhile has another turn.
            turn = await self._store.get(key)
            others = await self._others(place, fact)
            is_own = is_functional(after) and turn_key(place.namespace, after.claim.fact) == key
            own = after if is_own else None
            changes += self._made_of(place, own, others)
            is_over = own is None and not others
            changes.append(Change(key, None if is_over else b"", turn.version if turn else 0))
        if len(changes) > _CHANGED_MAX:
            raise refusal.crowded(place.name)
        return changes

    def _made_of(
        self, place: Place, own: nouns.MemoryRecord | None, others: dict[Place, Held]
    ) -> list[Change]:
        records = {one: had.record for one, had in others.items() if had.record is not None}
        if own is not None:
            records[place] = own
        found = outcomes([claim_of(one.id, record) for one, record in records.items()])
        now = self._after_all(records.values())
        changes = []
        for one, record in records.items():
            if settle(record, found[one.id], now, one.namespace) and one != place:
                record.memory.version += 1
                changes.append(Change(one.key, written(record), others[one].version))
        return changes

    async def _others(self, place: Place, fact: nouns.Fact) -> dict[Place, Held]:
        """Functional facts of the same subject and predicate."""
        start = facts_beginning(place.namespace, fact.subject, fact.predicate)
        entries = await self._store.entries(start, limit=PAGE_ENTRIES_MAX)
        if len(entries) > _FACTS_MAX:
            raise refusal.crowded(place.name)
        places = [Place(place.namespace, one.key.removeprefix(start)) for one in entries]
        there = await held(self._store, [one for one in places if one != place])
        return {
            one: found
            for one, found in there.items()
            if found.record is not None and found.record.claim.fact.is_functional
        }

    def _after_all(self, records: Iterable[nouns.MemoryRecord]) -> Timestamp:
        """Now, and behind all that is known of them: clocks of two replicas may differ."""
        now = self._now()
        latest = max(
            (
                record.beliefs[-1].learned_at.ToMicroseconds()
                for record in records
                if record.beliefs
            ),
            default=0,
        )
        if now.ToMicroseconds() <= latest:
            now.FromMicroseconds(latest + 1)
        return now

    def _now(self) -> Timestamp:
        now = Timestamp()
        now.FromDatetime(self._clock.now())
        return now


def is_fact(record: nouns.MemoryRecord | None) -> TypeGuard[nouns.MemoryRecord]:
    return record is not None and record.HasField("claim")


def is_functional(record: nouns.MemoryRecord | None) -> TypeGuard[nouns.MemoryRecord]:
    return is_fact(record) and record.claim.fact.is_functional
