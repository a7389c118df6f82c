"""Writes that contradict each other, or what others wrote."""

from __future__ import annotations

import grpc

from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1.journal_pb2 import JOURNAL_STATE_REFUSED
from tandem.memory.v1.memory_pb2 import MemoryOperationFailed
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_client.clients import Client, name, refusal
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator

CODE = grpc.StatusCode


async def _count(orchestrator: FakeOrchestrator) -> int:
    return len(orchestrator.events)


async def test_a_conflict_is_kept_told_and_resolved(
    client: Client, orchestrator: FakeOrchestrator
) -> None:
    """Others drain meanwhile; later writes to the same memory wait behind it."""
    for memory_id in ("one", "two", "three"):
        await client.add(memory_id, "a cat")
    orchestrator.is_away = True
    for memory_id in ("one", "two", "three"):
        await client.update(memory_id, "mine", version=1)
    await client.update("one", "mine again")
    await client.add("four", "a bird")
    for memory_id in ("one", "two", "three"):
        orchestrator.memories[name(memory_id)].text = "theirs"
        orchestrator.memories[name(memory_id)].version = 7
    orchestrator.is_away = False
    told = await eventually(client.journal, lambda found: found.standing.refused == 3)
    refused = [one for one in told.entries if one.state == JOURNAL_STATE_REFUSED]
    assert {one.reason for one in refused} == {"MEMORY_VERSION_CONFLICT"}
    await eventually(client.journal, lambda found: found.standing.depth == 4)
    assert orchestrator.texts["four"] == "a bird"
    await eventually(lambda: _count(orchestrator), lambda found: found == 3)
    event = MemoryOperationFailed.FromString(orchestrator.events[0][1])
    assert (event.error, event.reason) == ("update_memory_error", "MEMORY_VERSION_CONFLICT")
    by_name = {one.name: one.number for one in refused}
    (behind,) = (one for one in told.entries if one.name == name("one") and one not in refused)
    too_soon = await refusal(client.resolve(behind.number, pb.JOURNAL_RESOLUTION_DROP))
    assert too_soon.reason == "JOURNAL_ENTRY_WAITING"
    for memory_id, resolution in (
        ("one", pb.JOURNAL_RESOLUTION_OVERWRITE),
        ("two", pb.JOURNAL_RESOLUTION_DROP),
        ("three", pb.JOURNAL_RESOLUTION_RETRY),
    ):
        await client.resolve(by_name[name(memory_id)], resolution)
    await eventually(
        client.journal, lambda found: (found.standing.depth, found.standing.refused) == (1, 1)
    )
    assert orchestrator.texts["one"] == "mine again"
    assert orchestrator.texts["two"] == orchestrator.texts["three"] == "theirs"
    orchestrator.memories[name("three")].version = 1
    (left,) = (await client.journal()).entries
    await client.resolve(left.number, pb.JOURNAL_RESOLUTION_RETRY)
    await client.drained()
    await client.resolve(left.number, pb.JOURNAL_RESOLUTION_RETRY)
    assert orchestrator.texts["three"] == "mine"


async def test_what_cannot_be_right_is_refused_before_it_is_journaled(
    client: Client, orchestrator: FakeOrchestrator
) -> None:
    """As far as the journal knows; and a write that is repeated is the same one."""
    orchestrator.is_away = True
    first = await client.add("one", "a cat")
    assert (await client.add("one", "a cat")).journal_number == first.journal_number
    assert (await refusal(client.add("one", "a dog"))).reason == "MEMORY_EXISTS"
    wrong = await refusal(client.update("one", "a dog", version=2))
    assert (wrong.code, wrong.reason) == (CODE.ABORTED, "MEMORY_VERSION_CONFLICT")
    changed = await client.update("one", "a dog", version=1, request="r1")
    again = await client.update("one", "a dog", version=1, request="r1")
    assert again.journal_number == changed.journal_number
    assert changed.memory.version == 2
    await client.delete("one", version=2)
    assert (await refusal(client.update("one", "a bird"))).reason == "MEMORY_NOT_FOUND"
    assert (await refusal(client.add("one", "a cat"))).reason == "MEMORY_DELETED"
    orchestrator.is_away = False
    await client.drained()
    assert orchestrator.done == [("add", "one"), ("update", "one"), ("delete", "one")]
