"""Memories as they are kept: one record each, and lists of facts. The store is the truth, and every
change is one write that takes place only if nobody was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import refusal
from services.memory.memory_orchestrator.facts import (
    Outcome,
    claim_of,
    outcomes,
    settle,
)
from services.memory.memory_orchestrator.place import (
    Place,
    beginning,
    facts_beginning,
    turn_key,
)
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import (
    PAGE_ENTRIES_MAX,
    Change,
    VersionConflict,
)

# Of one subject and functional predicate: all of them, and those that one write may change.
_FACTS_MAX: Final = 500
_CHANGED_MAX: Final = 80
CURRENT: Final = nouns.MEMORY_STANDING_CURRENT
# What it makes of a record, which it may change in its place; None deletes it.
Edit = Callable[[nouns.MemoryRecord | None], nouns.MemoryRecord | None]


class Unchanged(Exception):
    """Raised by an edit that leaves everything as it is."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and the version that it has in the store: 0 where there is none."""

    record: nouns.MemoryRecord | None
    version: int


_NOTHING = Held(None, 0)


class Book:
    """Raises what the store raises, and CallerError in the words of the contract."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.store = state.store
        self._state, self._clock = state, clock

    async def find(self, place: Place) -> nouns.MemoryRecord | None:
        return (await self._held(place)).record

    async def found(self, places: Sequence[Place]) -> dict[Place, nouns.MemoryRecord]:
        """Those that are there, all of one moment."""
        stored = await self.store.found([place.key for place in places])
        return {place: _read(stored[place.key].content) for place in places if place.key in stored}

    async def page(
        self, namespace: str, after: str, size: int
    ) -> list[tuple[Place, nouns.MemoryRecord]]:
        """In the order of their ids, behind the one `after`."""
        start = beginning(namespace)
        entries = await self.store.entries(start, f"{start}{after}" if after else "", size)
        return [
            (Place(namespace, one.key.removeprefix(start)), _read(one.stored.content))
            for one in entries
        ]

    async def facts(
        self, namespace: str, subject: str, predicate: str, after: str, size: int
    ) -> tuple[list[tuple[Place, nouns.MemoryRecord]], str]:
        """A page of those about the subject, and behind what the next one begins, if there is one."""
        start = facts_beginning(namespace, subject, predicate)
        entries = await self.store.entries(start, f"{start}{after}" if after else "", size)
        places = [Place(namespace, one.key.rpartition("/")[2]) for one in entries]
        records = await self.found(places)
        last = entries[-1].key.removeprefix(start) if len(entries) == size else ""
        return [(place, records[place]) for place in places if place in records], last

    async def alter(self, place: Place, edit: Edit, *, is_new: bool = False) -> Held:
        """What is there afterwards, as if nobody wrote at the same time: where somebody did, `edit`
        is applied again to what they wrote. With `is_new` it is first taken for granted that
        nothing is there.
        """
        held = _NOTHING if is_new else await self._held(place)
        while True:
            try:
                after = edit(_copied(held.record))
            except Unchanged:
                return held
            try:
                version = await self.store.write(await self._changes(place, held, after))
            except VersionConflict as error:
                if error.metadata["key"] == place.deleted_key:
                    raise refusal.deleted(place.name) from error
                held = await self._held(place)
                continue
            return Held(after, version)

    async def replace(self, place: Place, held: Held, record: nouns.MemoryRecord) -> bool:
        """For what is no change of what it says: written unless somebody wrote since."""
        try:
            await self.store.write([Change(place.key, _bytes(record), held.version)])
        except VersionConflict:
            return False
        return True

    async def held(self, places: Sequence[Place]) -> dict[Place, Held]:
        """Those that are there, to be replaced."""
        stored = await self.store.found([place.key for place in places])
        return {
            place: Held(_read(one.content), one.version)
            for place in places
            if (one := stored.get(place.key)) is not None
        }

    async def scrub(self) -> tuple[str, ...]:
        return await self._state.scrub()

    async def _held(self, place: Place) -> Held:
        return (await self.held([place])).get(place, _NOTHING)

    async def _changes(
        self, place: Place, held: Held, after: nouns.MemoryRecord | None
    ) -> list[Change]:
        """All that the write of a record brings with it."""
        before = held.record
        changes = await self._judged(place, before, after)
        was = place.fact_key(before.claim.fact) if _is_fact(before) else ""
        now_is = place.fact_key(after.claim.fact) if _is_fact(after) else ""
        if was != now_is:
            changes += [Change(was, None)] if was else []
            changes += [Change(now_is, b"")] if now_is else []
        if before is None:
            changes.append(Change(place.deleted_key, None, 0))
        if after is None:
            changes.append(Change(place.deleted_key, _bytes(self._now())))
        content = None if after is None else _bytes(after)
        return [Change(place.key, content, held.version), *changes]

    async def _judged(
        self, place: Place, before: nouns.MemoryRecord | None, after: nouns.MemoryRecord | None
    ) -> list[Change]:
        """What becomes of the other facts, and the turn of their writers; `after` itself is changed
        in its place.
        """
        if after is not None and _is_fact(after) and not after.claim.fact.is_functional:
            end = claim_of(place.id, after).end
            settle(after, Outcome(end, CURRENT), self._after_all([after]), place.namespace)
        keys = {
            turn_key(place.namespace, one.claim.fact): one.claim.fact
            for one in (before, after)
            if _is_functional(one)
        }
        changes: list[Change] = []
        for key, fact in sorted(keys.items()):
            # The turn before the others: who writes meanwhile has another turn.
            turn = await self.store.get(key)
            others = await self._others(place, fact)
            is_own = _is_functional(after) and turn_key(place.namespace, after.claim.fact) == key
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
        records = {one: held.record for one, held in others.items() if held.record is not None}
        if own is not None:
            records[place] = own
        found = outcomes([claim_of(one.id, record) for one, record in records.items()])
        now = self._after_all(records.values())
        changes = []
        for one, record in records.items():
            if settle(record, found[one.id], now, one.namespace) and one != place:
                record.memory.version += 1
                changes.append(Change(one.key, _bytes(record), others[one].version))
        return changes

    async def _others(self, place: Place, fact: nouns.Fact) -> dict[Place, Held]:
        """Functional facts of the same subject and predicate."""
        start = facts_beginning(place.namespace, fact.subject, fact.predicate)
        entries = await self.store.entries(start, limit=PAGE_ENTRIES_MAX)
        if len(entries) > _FACTS_MAX:
            raise refusal.crowded(place.name)
        places = [Place(place.namespace, one.key.removeprefix(start)) for one in entries]
        held = await self.held([one for one in places if one != place])
        return {
            one: found
            for one, found in held.items()
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


def _is_fact(record: nouns.MemoryRecord | None) -> TypeGuard[nouns.MemoryRecord]:
    return record is not None and record.HasField("claim")


def _is_functional(record: nouns.MemoryRecord | None) -> TypeGuard[nouns.MemoryRecord]:
    return _is_fact(record) and record.claim.fact.is_functional


def _copied(record: nouns.MemoryRecord | None) -> nouns.MemoryRecord | None:
    if record is None:
        return None
    copy = nouns.MemoryRecord()
    copy.CopyFrom(record)
    return copy


def _read(content: bytes) -> nouns.MemoryRecord:
    return nouns.MemoryRecord.FromString(content)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
