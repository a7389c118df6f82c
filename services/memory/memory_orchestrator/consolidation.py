"""Memories grow older: working ones become episodic, those that repeat each other get one that says
it for them, and what is hardly remembered goes. Each step is one write, so it may be cut anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import merging
from services.memory.memory_orchestrator.book import Book, Unchanged
from services.memory.memory_orchestrator.desk import Desk
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.held import Held
from services.memory.memory_orchestrator.place import Place
from services.memory.memory_orchestrator.question import Question
from services.memory.memory_orchestrator.strength import Fading, importance_of
from services.memory.memory_orchestrator.wanted import Wanted
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.storage.vectors.wire import space_of

_PAGE: Final = 100
# A call ends soon after.
SLICE_S: Final = 2.0
_WORKING_AGE = timedelta(hours=1)
_LIKENESS, _MERGE_COUNT, _STRENGTH_MIN = 0.8, 3, 0.05


@dataclass(frozen=True, slots=True)
class Terms:
    """From when on something is done."""

    working_age: timedelta
    likeness: float
    merge_count: int
    strength_min: float

    @classmethod
    def of(cls, said: cfg.MemoryOrchestratorSettings) -> Terms:
        has = said.HasField
        return cls(
            said.working_age.ToTimedelta() if has("working_age") else _WORKING_AGE,
            said.merge_likeness if has("merge_likeness") else _LIKENESS,
            max(2, said.merge_count or _MERGE_COUNT),
            said.strength_min if has("strength_min") else _STRENGTH_MIN,
        )


@dataclass(slots=True)
class _Slice:
    """One call's work, and what it did."""

    namespace: str
    session: str
    is_dry: bool
    done: pb.ConsolidateMemoriesResponse
    # Members of what was merged in this call.
    merged: set[Place]


class Consolidation:
    """Raises what the store raises."""

    def __init__(
        self, book: Book, desk: Desk, indices: Indices, fading: Fading, clock: Clock
    ) -> None:
        self._book, self._desk, self._indices = book, desk, indices
        self._fading, self._clock = fading, clock
        self.terms = Terms.of(cfg.MemoryOrchestratorSettings())

    async def run(
        self, request: pb.ConsolidateMemoriesRequest, namespace: str, after: str
    ) -> tuple[pb.ConsolidateMemoriesResponse, str]:
        """What was done behind that id, and up to which one; empty where it went through all."""
        work = _Slice(
            namespace, request.session, request.dry_run, pb.ConsolidateMemoriesResponse(), set()
        )
        until_s = self._clock.monotonic_s() + SLICE_S
        try:
            while page := await self._book.page(namespace, after, _PAGE):
                for place, record in page:
                    await self._consolidate(work, place, record)
                    after = place.id
                    if self._clock.monotonic_s() > until_s:
                        return work.done, after
        finally:
            if work.done.forgotten and not work.is_dry:
                await self._desk.scrub()
        return work.done, ""

    async def _consolidate(self, work: _Slice, place: Place, record: nouns.MemoryRecord) -> None:
        if self._is_faint(record.memory):
            if work.is_dry or await self._forget(place):
                work.done.forgotten.append(place.name)
        elif self._is_over(record.memory, work.session):
            if work.is_dry or await self._promote(place, work.session):
                work.done.promoted.append(place.name)
        elif merging.is_candidate(record) and place not in work.merged:
            await self._merge(work, place, record)

    def _is_faint(self, memory: nouns.Memory) -> bool:
        is_pinned = importance_of(memory) >= 1.0
        strength = self._fading.strength(memory, self._clock.now())
        return not is_pinned and strength < self.terms.strength_min

    def _is_over(self, memory: nouns.Memory, session: str) -> bool:
        if memory.tier != nouns.MEMORY_TIER_WORKING:
            return False
        age = self._clock.now() - memory.create_time.ToDatetime(tzinfo=UTC)
        return age > self.terms.working_age or (bool(session) and memory.source.session == session)

    async def _forget(self, place: Place) -> bool:
        return await self._desk.remove(place, only=self._is_faint)

    async def _promote(self, place: Place, session: str) -> bool:
        def edit(record: nouns.MemoryRecord | None) -> nouns.MemoryRecord:
            if record is None or not self._is_over(record.memory, session):
                raise Unchanged
            record.memory.tier = nouns.MEMORY_TIER_EPISODIC
            record.memory.version += 1
            return record

        held = await self._book.alter(place, edit)
        return held.record is not None

    async def _merge(self, work: _Slice, place: Place, record: nouns.MemoryRecord) -> None:
        semantic = await self._near(place, record, nouns.MEMORY_TIER_SEMANTIC)
        known = [one for one in semantic if one[1].memory.source.derived_from]
        if known:
            # It is said already.
            into, _ = known[0]
            if not work.is_dry:
                await self._into(into, place)
            work.done.merged.add(name=into.name, derived_from=[place.name])
            return
        near = await self._near(place, record, nouns.MEMORY_TIER_EPISODIC)
        members = [one for one in near if merging.is_candidate(one[1])]
        members = [(place, record), *(one for one in members if one[0] != place)]
        members = [one for one in members if one[0] not in work.merged][: merging.MEMBERS_MAX]
        if len(members) < self.terms.merge_count:
            return
        into, memory = merging.merged(work.namespace, members)
        if work.is_dry or await self._make(into, memory, [one for one, _ in members]):
            work.merged.update(one for one, _ in members)
            name = "" if work.is_dry else into.name
            work.done.merged.add(name=name, derived_from=[one.name for one, _ in members])

    async def _near(
        self, place: Place, record: nouns.MemoryRecord, tier: nouns.MemoryTier.ValueType
    ) -> list[tuple[Place, nouns.MemoryRecord]]:
        """Those of the tier that say the same, by the truth."""
        now = self._clock.now()
        wanted = Wanted.of(pb.SearchMemoriesRequest(tiers=[tier]), now)
        vector, space = merging.vector_of(record), space_of(record.space)
        question = Question([], wanted, now.timestamp(), merging.MEMBERS_MAX, vector, space)
        answer = await self._indices.ask(place.namespace, question)
        near = answer.by_meaning if answer is not None else ()
        found = await self._book.found([Place(place.namespace, one) for one in near])
        return merging.alike(record, found.items(), self.terms.likeness)

    async def _into(self, into: Place, place: Place) -> None:
        def edit(record: nouns.MemoryRecord | None) -> nouns.MemoryRecord:
            if record is None or not merging.is_candidate(record):
                raise Unchanged
            return merging.marked(record, into)

        await self._book.alter(place, edit)

    async def _make(self, into: Place, memory: nouns.Memory, members: list[Place]) -> bool:
        """In one write with its members, unless one of them is another by now."""
        now = Timestamp()
        now.FromDatetime(self._clock.now())
        held = await self._book.held(members)
        if len(held) < len(members) or not all(map(_is_still, held.values())):
            return False
        if not await self._book.derive(into, merging.record_of(into, memory, now), held):
            return False
        self._desk.written(into)
        return True


def _is_still(had: Held) -> bool:
    return had.record is not None and merging.is_candidate(had.record)
