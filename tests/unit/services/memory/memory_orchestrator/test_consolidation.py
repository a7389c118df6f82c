"""Memories grow older: promoted, merged and forgotten, and each only once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.memory.memory_orchestrator.merging import central
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Stub,
    Words,
    add,
    embedded,
    ids,
    name,
    remembering,
)

WORKING, EPISODIC = nouns.MEMORY_TIER_WORKING, nouns.MEMORY_TIER_EPISODIC
DAY_S = 24 * 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def stub(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Stub]:
    async with remembering(tmp_path, Words().agent, clock=clock) as stub:
        yield stub


async def consolidate(stub: Stub, **said: Any) -> pb.ConsolidateMemoriesResponse:
    done = await stub.ConsolidateMemories(pb.ConsolidateMemoriesRequest(**said))
    assert not done.resume_token
    return done


async def tier(stub: Stub, memory_id: str) -> int:
    found = await stub.GetMemory(pb.GetMemoryRequest(name=name(memory_id)))
    return found.memory.tier


async def test_working_memories_become_episodic_with_their_session_or_age(
    stub: Stub, clock: FakeClock
) -> None:
    """Those of a session that goes on stay."""
    await add(stub, "x", "a", tier=WORKING, source=nouns.MemorySource(session="one"))
    await add(stub, "x", "b", tier=WORKING, source=nouns.MemorySource(session="two"))
    assert list((await consolidate(stub, session="one")).promoted) == [name("a")]
    assert (await tier(stub, "a"), await tier(stub, "b")) == (EPISODIC, WORKING)
    await clock.advance(3700)
    assert list((await consolidate(stub)).promoted) == [name("b")]
    assert not (await consolidate(stub)).promoted


async def test_what_is_hardly_remembered_goes_and_what_is_pinned_stays(
    tmp_path: Path, clock: FakeClock
) -> None:
    """A dry run tells it, and does nothing."""
    settings = cfg.MemoryOrchestratorSettings()
    settings.consolidate_every.FromSeconds(0)
    async with remembering(tmp_path, Words().agent, clock=clock, settings=settings) as stub:
        await add(stub, "a passing thing", "a")
        await add(stub, "a pinned thing", "b", importance=1.0)
        await add(stub, "an important thing", "c", importance=0.9)
        assert not (await consolidate(stub)).forgotten
        await clock.advance(52 * DAY_S)
        for _ in range(2):
            assert list((await consolidate(stub, dry_run=True)).forgotten) == [name("a")]
        assert list((await consolidate(stub)).forgotten) == [name("a")]
        assert sorted(await ids(stub, "thing")) == ["b", "c"]
        await clock.advance(10_000 * DAY_S)
        await consolidate(stub)
        assert await ids(stub, "thing") == ["b"]


async def test_what_repeats_itself_is_said_once_and_stays_linked(stub: Stub) -> None:
    """With where it comes from; the same again is added to it."""
    for number in range(3):
        await add(stub, f"The printer on floor {number % 2} is out of paper.", f"m{number}")
    await add(stub, "A quokka sleeps.", "other")
    await embedded(stub, 4)
    dry = await consolidate(stub, dry_run=True)
    (merged,) = (await consolidate(stub)).merged
    assert list(dry.merged[0].derived_from) == list(merged.derived_from)
    assert sorted(merged.derived_from) == [name(f"m{number}") for number in range(3)]
    made = (await stub.GetMemory(pb.GetMemoryRequest(name=merged.name))).memory
    assert (made.tier, made.text) == (
        nouns.MEMORY_TIER_SEMANTIC,
        "The printer on floor 0 is out of paper.",
    )
    assert list(made.source.derived_from) == list(merged.derived_from)
    await embedded(stub, 5)
    assert not (await consolidate(stub)).merged
    await add(stub, "The printer on floor 0 is out of paper.", "m3")
    await embedded(stub, 6)
    (again,) = (await consolidate(stub)).merged
    assert (again.name, list(again.derived_from)) == (merged.name, [name("m3")])


async def test_what_was_made_of_a_deleted_memory_goes_with_it(stub: Stub) -> None:
    """It may have its words; the others may be merged anew."""
    for number in range(4):
        await add(stub, "The printer is out of paper.", f"m{number}")
    await embedded(stub, 4)
    (merged,) = (await consolidate(stub)).merged
    await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name("m0")))
    assert sorted(await ids(stub, "printer")) == ["m1", "m2", "m3"]
    (again,) = (await consolidate(stub)).merged
    assert len(again.derived_from) == 3
    assert again.name != merged.name


def test_the_central_sentence_is_one_of_those_that_were_said() -> None:
    """The one with most of the words of all."""
    texts = ["Paper is out. I am tired.", "The paper is out again. Who cares?", "No paper again."]
    assert central(texts) == "The paper is out again."
