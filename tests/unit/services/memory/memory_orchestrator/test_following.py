"""Indices behind a store that has forgotten deletions."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.index import Index
from services.memory.memory_orchestrator.strength import Fading
from tandem.memory.config.v1.memory_orchestrator_pb2 import MemoryOrchestratorSettings
from tandem.memory.v1.memory_pb2 import Memory, MemoryRecord
from tandemkit.core.clock import SystemClock
from tandemkit.storage.state.protocol import Change
from tandemkit.storage.state.sqlite import sqlite_state
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


def test_what_cannot_be_embedded_waits_for_no_vector() -> None:
    """It would be asked for again and again, and searches would always say that something waits."""
    index = Index(Fading.of(MemoryOrchestratorSettings()))
    record = MemoryRecord(memory=Memory(name="a", text="who knows"))
    index.put("a", record)
    assert list(index.pending) == ["a"]
    record.unembeddable_cause = "TEXT_REFUSED"
    index.put("a", record)
    assert not index.pending
