"""Memories as they are kept: one record each, and lists of facts. The store is the truth, and every
change is one write that takes place only if nobody was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator.held import NOTHING, Held, held, written
from services.memory.memory_orchestrator.judging import Judging, is_fact
from services.memory.memory_orchestrator.merging import marked
from services.memory.memory_orchestrator.place import (
    Place,
    beginning,
    facts_beginning,
)
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.hosting import memory_refusals
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import (
    Change,
    VersionConflict,
)

# What it makes of a record, which it may change in its place; None deletes it.
Edit = Callable[[nouns.MemoryRecord | None], nouns.MemoryRecord | None]


class Unchanged(Exception):
    """Raised by an edit that leaves everything as it is."""


class Book:
    """Raises what the store raises, and CallerError in the words of the contract."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.store = state.store
        self._state, self._clock = state, clock
        self._judging = Judging(state.store, clock)

    async def find(self, place: Place) -> nouns.MemoryRecord | None:
        return (await self._held(place)).record

    async def found(self, places: Sequence[Place]) -> dict[Place, nouns.MemoryRecord]:
        """Those that are there, all of one moment."""
        there = await held(self.store, places)
        return {place: one.record for place, one in there.items() if one.record is not None}

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
    ) -> tuple[list[tuple[str, nouns.MemoryRecord]], str]:
        """A page of those about the subject, each with what the next page may begin behind, and
        where it does, if there is one.
        """
        start = facts_beginning(namespace, subject, predicate)
        entries = await self.store.entries(start, f"{start}{after}" if after else "", size)
        places = {
            one.key.removeprefix(start): Place(namespace, one.key.rpartition("/")[2])
            for one in entries
        }
        records = await self.found(list(places.values()))
        last = entries[-1].key.removeprefix(start) if len(entries) == size else ""
        return [(one, records[place]) for one, place in places.items() if place in records], last

    async def alter(self, place: Place, edit: Edit, *, is_new: bool = False) -> Held:
        """What is there afterwards, as if nobody wrote at the same time: where somebody did, `edit`
        is applied again to what they wrote. With `is_new` it is first taken for granted that
        nothing is there.
        """
        was = NOTHING if is_new else await self._held(place)
        while True:
            try:
                after = edit(_copied(was.record))
            except Unchanged:
                return was
            try:
                version = await self.store.write(await self._changes(place, was, after))
            except VersionConflict as error:
                if error.metadata["key"] == place.deleted_key:
                    raise memory_refusals.deleted(place.name) from error
                was = await self._held(place)
                continue
            return Held(after, version)

    async def replace(self, place: Place, had: Held, record: nouns.MemoryRecord) -> bool:
        """For what is no change of what it says: written unless somebody wrote since."""
        try:
            await self.store.write([Change(place.key, written(record), had.version)])
        except VersionConflict:
            return False
        return True

    async def derive(
        self, place: Place, record: nouns.MemoryRecord, members: Mapping[Place, Held]
    ) -> bool:
        """A memory that was made of others, which say so, in one write; unless one of all changed
        meanwhile, or it was deleted before.
        """
        changes = await self._changes(place, NOTHING, record)
        for one, had in members.items():
            if had.record is not None:
                content = written(marked(had.record, place))
                changes.append(Change(one.key, content, had.version))
        try:
            await self.store.write(changes)
        except VersionConflict:
            return False
        return True

    async def held(self, places: Sequence[Place]) -> dict[Place, Held]:
        """Those that are there, to be replaced."""
        return await held(self.store, places)

    async def scrub(self, *, thoroughly: bool, upto: int) -> tuple[str, ...]:
        return await self._state.scrub(thoroughly=thoroughly, upto=upto)

    async def _held(self, place: Place) -> Held:
        return (await held(self.store, [place])).get(place, NOTHING)

    async def _changes(
        self, place: Place, had: Held, after: nouns.MemoryRecord | None
    ) -> list[Change]:
        """All that the write of a record brings with it."""
        before = had.record
        changes = await self._judging.changes(place, before, after)
        was: str = place.fact_key(before.claim.fact) if is_fact(before) else ""
        now_is = place.fact_key(after.claim.fact) if is_fact(after) else ""
        if was != now_is:
            changes += [Change(was, None)] if was else []
            changes += [Change(now_is, b"")] if now_is else []
        if before is None:
            changes.append(Change(place.deleted_key, None, 0))
        if after is None:
            changes.append(Change(place.deleted_key, written(self._now())))
        content = None if after is None else written(after)
        return [Change(place.key, content, had.version), *changes]

    def _now(self) -> Timestamp:
        now = Timestamp()
        now.FromDatetime(self._clock.now())
        return now


def _copied(record: nouns.MemoryRecord | None) -> nouns.MemoryRecord | None:
    if record is None:
        return None
    copy = nouns.MemoryRecord()
    copy.CopyFrom(record)
    return copy


def _read(content: bytes) -> nouns.MemoryRecord:
    return nouns.MemoryRecord.FromString(content)
