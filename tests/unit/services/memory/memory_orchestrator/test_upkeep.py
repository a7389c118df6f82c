"""What happens to memories without being asked, in its time."""

from __future__ import annotations

from pathlib import Path

import grpc

from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Words,
    add,
    name,
    refusal,
    remembering,
)


async def test_old_working_memories_and_deleted_ids_are_looked_after(tmp_path: Path) -> None:
    """The one becomes episodic, the other may be taken again, both a while later."""
    clock, settings = FakeClock(), cfg.MemoryOrchestratorSettings()
    settings.consolidate_every.FromSeconds(3600)
    settings.keep_deleted_ids.FromSeconds(7200)
    async with remembering(tmp_path, Words().agent, clock=clock, settings=settings) as stub:
        await add(stub, "one", "old", tier=nouns.MEMORY_TIER_WORKING)
        await add(stub, "two", "gone")
        await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name("gone")))
        assert (await refusal(add(stub, "two", "gone"))).reason == "MEMORY_DELETED"

        async def is_free() -> bool:
            await clock.advance(1800)
            try:
                await add(stub, "two", "gone")
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(is_free, bool)
        old = (await stub.GetMemory(pb.GetMemoryRequest(name=name("old")))).memory
        assert old.tier == nouns.MEMORY_TIER_EPISODIC
