"""What becomes of writes that the orchestrator refused: somebody decides."""

from __future__ import annotations

from services.memory.memory_client import refusal
from services.memory.memory_client.journal import Journal, copy_of, is_refused
from services.memory.memory_client.writing import Writing
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1.journal_pb2 import JOURNAL_STATE_WAITING, JournalEntry
from tandemkit.hosting import access
from tandemkit.hosting.access import Right


class Resolving:
    """Raises CallerError, and what the disk raises."""

    def __init__(self, journal: Journal, writing: Writing) -> None:
        self._journal, self._writing = journal, writing

    async def resolve(self, request: pb.ResolveJournalEntryRequest) -> None:
        found = self._journal.found(request.number)
        if found is None:
            return
        access.check_named(found.name, Right.WRITE)
        async with self._writing.turns.of(found.name):
            found = self._journal.found(request.number)
            if found is None:
                return
            if not is_refused(found):
                raise refusal.waiting(request.number)
            if request.resolution == pb.JOURNAL_RESOLUTION_DROP:
                await self._journal.forget([found.number])
            else:
                is_forced = request.resolution == pb.JOURNAL_RESOLUTION_OVERWRITE
                await self._journal.change(_again(found, is_forced=is_forced))


def _again(entry: JournalEntry, *, is_forced: bool) -> JournalEntry:
    """As if it had never been sent; forced whatever version the memory has."""
    made = copy_of(entry)
    made.state, made.failures = JOURNAL_STATE_WAITING, 0
    made.ClearField("reason")
    made.ClearField("message")
    if is_forced:
        made.follows_journal = False
        if made.HasField("update"):
            made.update.expected_version = 0
        elif made.HasField("delete"):
            made.delete.expected_version = 0
    return made
