"""What is found is remembered better, and no search waits for that."""

from __future__ import annotations

from pathlib import Path

from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Words,
    add,
    embedded,
    ids,
    name,
    remembering,
    search,
)

DAY_S = 24 * 3600.0


async def test_what_is_found_is_used_and_fades_from_then_on(tmp_path: Path) -> None:
    """Soon, and without another version of what it says."""
    clock = FakeClock()
    async with remembering(tmp_path, Words().agent, clock=clock) as stub:
        await add(stub, "a red door", "a")
        await embedded(stub, 1)
        await clock.advance(14 * DAY_S)
        (hit,) = (await search(stub, "door")).hits
        assert round(hit.memory.strength, 3) == round(0.625 / 2, 3)

        async def known() -> nouns.Memory:
            await clock.advance(6)
            found = await stub.GetMemory(pb.GetMemoryRequest(name=name("a")))
            return found.memory

        memory = await eventually(known, lambda one: one.uses == 1)
        assert memory.version == 1
        assert memory.strength > 0.62


async def test_of_two_that_fit_alike_the_stronger_comes_first(tmp_path: Path) -> None:
    """And one that is too weak does not come at all, where that is asked for."""
    clock = FakeClock()
    async with remembering(tmp_path, Words().agent, clock=clock) as stub:
        await add(stub, "a red door", "old")
        await clock.advance(30 * DAY_S)
        await add(stub, "a red door", "new")
        await embedded(stub, 2)
        assert await ids(stub, "red door", min_strength=0.3) == ["new"]
        assert await ids(stub, "red door") == ["new", "old"]
