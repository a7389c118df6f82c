"""Memories are added, changed and deleted: what is answered is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import records, refusal
from services.memory.memory_orchestrator.book import Book, Edit, Unchanged
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.held import Held
from services.memory.memory_orchestrator.place import Place, namespace_of
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Bug
from tandemkit.hosting import memory_refusals
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.subjects import folded

INDEX_MIB_MAX: Final = 300
_MIB: Final = 1024 * 1024


class _Merged(Exception):
    """Something was made of what it says now."""


class Desk:
    """Raises what the store raises, and CallerError in the words of the contract."""

    def __init__(
        self, book: Book, indices: Indices, clock: Clock, written: Callable[[Place], None]
    ) -> None:
        """`written` is told of what waits for a vector."""
        self._book, self._indices, self._clock = book, indices, clock
        self.written = written
        self._functional: frozenset[str] = frozenset()
        self._mib_max = INDEX_MIB_MAX
        # Deletions that come at the same time share one emptying of the log.
        self._scrubbing: GroupCommit[bool, tuple[str, ...]] = GroupCommit(self._scrubbed)

    def limit(self, functional_predicates: Iterable[str], index_mib_max: int) -> None:
        self._functional = frozenset(folded(one) for one in functional_predicates)
        self._mib_max = index_mib_max

    async def run(self) -> None:
        """Until cancelled."""
        await self._scrubbing.run()

    async def add(self, request: pb.AddMemoryRequest) -> tuple[nouns.Memory, bool]:
        """The memory, and whether it was there before."""
        place = Place(namespace_of(request.namespace), request.memory_id or ids.event_id())
        if self._indices.size_bytes > self._mib_max * _MIB:
            raise refusal.full(self._mib_max)
        digest, was_there = records.digest_of(request.memory), False

        def edit(was: nouns.MemoryRecord | None) -> nouns.MemoryRecord:
            nonlocal was_there
            was_there = was is not None
            if was is None:
                return records.added(place, request.memory, self._now(), self._functional)
            if was.digest != digest:
                raise memory_refusals.taken(place.name)
            raise Unchanged

        held = await self._book.alter(place, edit, is_new=True)
        self.written(place)
        if held.record is None:
            raise Bug("a memory is there and is not", memory=place.name)
        return held.record.memory, was_there

    async def update(self, request: pb.UpdateMemoryRequest) -> nouns.Memory:
        is_retold = "text" in request.update_mask.paths

        def edit(was: nouns.MemoryRecord | None) -> nouns.MemoryRecord:
            if was is None:
                raise memory_refusals.missing(request.name)
            if request.request_id and request.request_id in was.request_ids:
                raise Unchanged
            _expect(request.name, request.expected_version, was)
            if is_retold and was.memory.merged_into:
                raise _Merged
            records.updated(was, request, self._now(), self._functional)
            return was

        place = Place.of(request.name)
        held = await self._retold(place, edit, request.expected_version)
        self.written(place)
        if held.record is None:
            raise memory_refusals.missing(request.name)
        return held.record.memory

    async def _retold(self, place: Place, edit: Edit, expected_version: int) -> Held:
        while True:
            try:
                return await self._book.alter(place, edit)
            except _Merged:
                await self._unmerge(place, expected_version)

    async def delete(self, request: pb.DeleteMemoryRequest) -> pb.DeleteMemoryResponse:
        place = Place.of(request.name)
        was_there = await self.forget(place, request.expected_version)
        remains = await self.scrub()
        return pb.DeleteMemoryResponse(was_there=was_there, remains=remains)

    async def forget(self, place: Place, expected_version: int = 0) -> bool:
        """As `remove`, with what was made of it: also what is made while it is looked for."""
        while not await self.remove(place, expected_version, _is_unmerged):
            if await self._book.find(place) is None:
                return False
            await self._unmerge(place, expected_version)
        return True

    async def remove(
        self,
        place: Place,
        expected_version: int = 0,
        only: Callable[[nouns.Memory], bool] = lambda _memory: True,
    ) -> bool:
        """Whether it was there, and is gone; its bytes may be in files until `scrub` returns."""
        was_there = False

        def edit(was: nouns.MemoryRecord | None) -> None:
            nonlocal was_there
            was_there = False
            if was is None or not only(was.memory):
                raise Unchanged
            was_there = True
            _expect(place.name, expected_version, was)

        await self._book.alter(place, edit)
        return was_there

    async def _unmerge(self, place: Place, expected_version: int) -> None:
        """Takes back what was made of it, which may have its words. The others that it was made of
        may be merged anew.
        """
        record = await self._book.find(place)
        if record is None or not record.memory.merged_into:
            return
        _expect(place.name, expected_version, record)
        into = Place.of(record.memory.merged_into)
        derived = await self._book.find(into)

        def edit(was: nouns.MemoryRecord | None) -> nouns.MemoryRecord:
            if was is None or was.memory.merged_into != into.name:
                raise Unchanged
            was.memory.merged_into = ""
            return was

        others = derived.memory.source.derived_from if derived is not None else ()
        for name in others:
            if name != place.name:
                await self._book.alter(Place.of(name), edit)
        await self.remove(into)
        # The last, so that one who comes after a kill goes on.
        await self._book.alter(place, edit)

    async def scrub(self, *, thoroughly: bool = False) -> tuple[str, ...]:
        """What was deleted so far is in no file any more, but for what the sentences say."""
        return await self._scrubbing.do(thoroughly)

    async def _scrubbed(self, wanted: Sequence[bool]) -> list[tuple[str, ...]]:
        # What is heard of may be forgotten; what is deleted meanwhile is scrubbed by who did that.
        await self._indices.follow()
        remains = await self._book.scrub(thoroughly=any(wanted), upto=self._indices.since)
        return [remains for _ in wanted]

    def _now(self) -> Timestamp:
        now = Timestamp()
        now.FromDatetime(self._clock.now())
        return now


def _expect(name: str, version: int, record: nouns.MemoryRecord) -> None:
    if version not in {0, record.memory.version}:
        raise memory_refusals.outdated(name, version, record.memory.version)


def _is_unmerged(memory: nouns.Memory) -> bool:
    return not memory.merged_into
