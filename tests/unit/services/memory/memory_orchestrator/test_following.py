"""Indices behind a store that has forgotten deletions."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.desk import Desk
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.index import Index
from services.memory.memory_orchestrator.strength import Fading
from tandem.memory.config.v1.memory_orchestrator_pb2 import MemoryOrchestratorSettings
from tandem.memory.v1.memory_orchestrator_service_pb2 import DeleteMemoryRequest
from tandem.memory.v1.memory_pb2 import Memory, MemoryRecord
from tandemkit.core.clock import SystemClock
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import PAGE_ENTRIES_MAX, Change, Entry
from tandemkit.storage.state.sqlite import SqliteState, sqlite_state
from tandemkit.supervise.tasks import Tasks

MEMORIES = 1200


def put(number: int) -> Change:
    record = MemoryRecord(memory=Memory(text=f"memory {number}", version=1))
    return Change(f"m/default/a{number}", record.SerializeToString())


async def test_who_missed_a_deletion_begins_anew_whatever_there_is(tmp_path: Path) -> None:
    """Also with more memories than a page has, all of them written before the deletion."""
    async with sqlite_state(tmp_path / "state.sqlite") as store, Tasks() as tasks:
        indices = Indices(store, Fading.of(MemoryOrchestratorSettings()), SystemClock())
        tasks.spawn("follow", indices.run())
        for number in range(0, MEMORIES, 100):
            await store.write([put(one) for one in range(number, number + 100)])
        await indices.follow()
        await store.write([Change("m/default/a7", None)])
        await store.scrub()
        async with asyncio.timeout(10):
            await indices.follow()
        index = indices.of("default")
        assert index is not None
        assert len(index) == MEMORIES - 1
        await store.write([put(MEMORIES)])
        await indices.follow()
        assert len(index) == MEMORIES


class Busy(SqliteState):
    """Somebody else deletes a memory whenever it is about to be scrubbed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.listings = 0
        self.others = iter(range(100, MEMORIES))

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        await self.write([Change(f"m/default/a{next(self.others)}", None)])
        return await super().scrub(thoroughly=thoroughly, upto=upto)

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        self.listings += 1
        return await super().entries(prefix, after, limit)


async def test_deletions_that_come_at_the_same_time_have_no_index_made_anew(
    tmp_path: Path,
) -> None:
    """One that was deleted while another one was scrubbed is heard of as any other."""
    store = Busy(tmp_path / "state.sqlite")
    clock, fading = SystemClock(), Fading.of(MemoryOrchestratorSettings())
    indices = Indices(store, fading, clock)
    desk = Desk(Book(State(store), clock), indices, clock, lambda _place: None)
    async with Tasks() as tasks:
        for number, work in enumerate((store.run(), indices.run(), desk.run())):
            tasks.spawn(f"{number}", work)
        for number in range(0, MEMORIES, 100):
            await store.write([put(one) for one in range(number, number + 100)])
        await indices.follow()
        for number in range(8):
            request = DeleteMemoryRequest(name=f"namespaces/default/memories/a{number}")
            assert (await desk.delete(request)).was_there
        await indices.follow()
        index = indices.of("default")
        assert index is not None
        assert (store.listings, len(index)) == (0, MEMORIES - 16)
        await desk.scrub()
        await tasks.end()
    store.close()


def test_what_cannot_be_embedded_waits_for_no_vector() -> None:
    """It would be asked for again and again, and searches would always say that something waits."""
    index = Index(Fading.of(MemoryOrchestratorSettings()))
    record = MemoryRecord(memory=Memory(name="a", text="who knows"))
    index.put("a", record)
    assert list(index.pending) == ["a"]
    record.unembeddable_cause = "TEXT_REFUSED"
    index.put("a", record)
    assert not index.pending
