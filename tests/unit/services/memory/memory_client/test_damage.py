"""A journal of which the disk gives back something else than was written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.journal_pb2 import JOURNAL_STATE_REFUSED
from tandem.memory.v1.memory_pb2 import MemoryOperationFailed
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_client.clients import Client, client_of
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator

_STUCK = """
CREATE TRIGGER stuck BEFORE DELETE ON journal WHEN OLD.number = 2
BEGIN SELECT RAISE(ABORT, 'as a damaged page does'); END
"""
_SAID = ("one", "two", "three", "four")


async def _journaled(orchestrator: FakeOrchestrator, folder: Path, *statements: str) -> None:
    """Four writes of an earlier life, and what became of its file."""
    orchestrator.is_away = True
    async with client_of(orchestrator, folder) as client:
        for one in _SAID:
            await client.add(one, f"a cat of {one}")
    with sqlite3.connect(_file(folder)) as database:
        for statement in statements:
            database.execute(statement)
    orchestrator.is_away = False
    orchestrator.calls.clear()


def _file(folder: Path) -> Path:
    (found,) = folder.rglob("journal.sqlite")
    return found


async def _told(orchestrator: FakeOrchestrator) -> list[Any]:
    """What was recorded, once anything was."""

    async def events() -> int:
        return len(orchestrator.events)

    await eventually(events, lambda count: count > 0)
    return [MemoryOperationFailed.FromString(content) for _, content in orchestrator.events]


async def test_a_write_that_cannot_be_read_keeps_no_other_from_the_orchestrator(
    orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """It stays where it is, is told, and no deletion says that nothing is left of anybody."""
    await _journaled(orchestrator, tmp_path, "UPDATE journal SET content = x'ff' WHERE number = 2")
    async with client_of(orchestrator, tmp_path) as client:
        await client.drained()
        assert sorted(orchestrator.texts) == ["four", "one", "three"]
        (event,) = await _told(orchestrator)
        assert (event.error, event.reason, event.count) == (
            "restore_journal_error",
            "STORE_DAMAGED",
            1,
        )
        deleting = subjects.DeleteSubjectRequest(subject="Ada")
        assert (await client.stub.DeleteSubject(deleting)).remains
        await client.stub.DeleteSubject(subjects.DeleteSubjectRequest(whole_namespace=True))
    with sqlite3.connect(_file(tmp_path)) as database:
        assert database.execute("SELECT number FROM journal").fetchall() == [(2,)]


async def test_a_write_that_cannot_be_taken_away_keeps_no_other_from_the_orchestrator(
    orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """It waits for somebody to decide, and is not sent over and over."""
    await _journaled(orchestrator, tmp_path, _STUCK)

    async def stuck(client: Client) -> Any:
        return (await client.journal()).entries

    async with client_of(orchestrator, tmp_path) as client:
        (left,) = await eventually(
            lambda: stuck(client), lambda found: [one.number for one in found] == [2]
        )
        told = await eventually(
            lambda: stuck(client), lambda found: found[0].state == JOURNAL_STATE_REFUSED
        )
        assert (left.number, told[0].reason) == (2, "STORE_DAMAGED")
        assert sorted(orchestrator.texts) == sorted(_SAID)
        assert (await _told(orchestrator))[0].reason == "STORE_DAMAGED"
        assert orchestrator.calls.count("add") <= len(_SAID) + 1
        await client.add("five", "a bird")
        assert "five" in orchestrator.texts
