"""What was made of a memory goes with it, wherever its deletion was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.memory.memory_orchestrator import merging
from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.desk import Desk
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.place import Place
from services.memory.memory_orchestrator.strength import Fading
from tandem.memory.config.v1.memory_orchestrator_pb2 import MemoryOrchestratorSettings
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1.memory_pb2 import Memory, MemoryRecord
from tandem.memory.v1.subject_pb2 import DeleteSubjectRequest
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change
from tandemkit.storage.state.sqlite import SqliteState
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Words,
    add,
    embedded,
    ids,
    remembering,
)

INTO = Place("default", "merged-1")
MEMBERS = [Place("default", f"m{number}") for number in range(3)]


class Failing(SqliteState):
    """Once it does not delete what has this key."""

    fails = ""

    async def write(self, changes: Sequence[Change]) -> int:
        if any(one.key == self.fails and one.content is None for one in changes):
            self.fails = ""
            raise Unreachable("it was told to fail")
        return await super().write(changes)


def merged() -> list[Change]:
    """A memory that was made of others, and those."""
    derived = MemoryRecord(memory=Memory(name=INTO.name, text="said", version=1))
    derived.memory.source.derived_from.extend(one.name for one in MEMBERS)
    changes = [Change(INTO.key, derived.SerializeToString())]
    for one in MEMBERS:
        record = MemoryRecord(memory=Memory(name=one.name, text="said", version=1))
        changes.append(Change(one.key, merging.marked(record, INTO).SerializeToString()))
    return changes


async def test_a_deletion_that_was_cut_off_takes_with_it_what_was_made(tmp_path: Path) -> None:
    """The words would else stay readable in what nobody knows to be made of them."""
    store, clock = Failing(tmp_path / "state.sqlite"), FakeClock()
    indices = Indices(store, Fading.of(MemoryOrchestratorSettings()), clock)
    book = Book(State(store), clock)
    desk = Desk(book, indices, clock, lambda _place: None)
    async with Tasks() as tasks:
        for name, work in (("state", store.run()), ("follow", indices.run()), ("desk", desk.run())):
            tasks.spawn(name, work)
        await store.write(merged())
        store.fails = INTO.key
        request = pb.DeleteMemoryRequest(name=MEMBERS[0].name)
        with pytest.raises(Unreachable):
            await desk.delete(request)
        assert (await desk.delete(request)).was_there
        left = await book.found([INTO, *MEMBERS])
    assert sorted(one.id for one in left) == ["m1", "m2"]
    assert not any(one.memory.merged_into for one in left.values())
    store.close()


async def test_what_was_made_of_those_that_mention_somebody_goes_with_them(tmp_path: Path) -> None:
    """Though the sentence that was taken of them does not."""
    async with remembering(tmp_path, Words().agent) as stub:
        for number in range(3):
            await add(stub, "The printer is out of paper. Ask Ada.", f"m{number}")
        await embedded(stub, 3)
        done = await stub.ConsolidateMemories(pb.ConsolidateMemoriesRequest())
        assert len(done.merged) == 1
        await stub.DeleteSubject(DeleteSubjectRequest(subject="Ada", mentions=True))
        assert not await ids(stub, "printer")
