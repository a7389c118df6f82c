"""What was deleted is in no file of the client either, however it went through the journal."""

from __future__ import annotations

from pathlib import Path

from tandem.memory.v1 import memory_client_service_pb2 as pb
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_client.clients import Client, holding
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator


async def test_a_deleted_memory_that_was_journaled_leaves_nothing_in_the_files(
    client: Client, orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """Its words stood in the write-ahead log of the journal, long drained."""
    orchestrator.is_away = True
    await client.add("one", "a planted cat")
    orchestrator.is_away = False
    await client.drained()
    assert (await client.delete("one")).standing == pb.WRITE_STANDING_STORED
    assert not holding(tmp_path, b"planted")


async def test_a_journaled_deletion_leaves_nothing_in_the_files(
    client: Client, orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """Once the orchestrator has it."""
    orchestrator.is_away = True
    await client.add("one", "a planted cat")
    await client.delete("one")
    orchestrator.is_away = False

    async def held() -> list[Path]:
        return holding(tmp_path, b"planted")

    await eventually(held, lambda files: not files)
