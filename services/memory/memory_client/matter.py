"""What is here about a subject, or of a namespace: copies and journaled writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from services.memory.memory_client.draining import Draining
from services.memory.memory_client.means import Means
from services.memory.memory_client.writing import Writing
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.hosting.exporting import record_of
from tandemkit.storage.memories import selection

_UNREADABLE: Final = (
    "writes in the memory client's journal that cannot be read: stop it when its other writes have "
    "drained, and delete its journal.sqlite"
)
_AGENT: Final = pb.DESCRIPTOR.services_by_name["MemoryClientService"].full_name


class Matter:
    """Raises what the disk raises."""

    def __init__(self, means: Means, writing: Writing, draining: Draining) -> None:
        self._journal, self._copies = means.journal, means.copies
        self._writing, self._draining = writing, draining

    async def delete(self, request: subjects.DeleteSubjectRequest, namespace: str) -> int:
        """How many copies and writes there were. None of these writes is on its way when it
        returns.
        """
        is_about = selection(request)
        prefix = f"namespaces/{namespace}/"

        def is_meant(memory: Memory) -> bool:
            return memory.name.startswith(prefix) and is_about(memory)

        names = self._copies.drop_about(is_meant)
        count = len(names)
        for name in dict.fromkeys((*names, *self._names(namespace, is_about))):
            async with self._writing.turns.of(name):
                # A deletion brings nothing back.
                numbers = [one.number for one in self._journal.of(name) if not _deletes(one)]
                if numbers:
                    await self._journal.forget(numbers)
            await self._draining.sent(set(numbers))
            count += len(numbers)
        await self._journal.scrub()
        # What was stored while others of the journal were taken away.
        return count + len(self._copies.drop_about(is_meant))

    def remains(self) -> list[str]:
        """What may be about anybody, for nobody can tell."""
        return [_UNREADABLE] if self._journal.unreadable else []

    async def exported(
        self, request: subjects.ExportSubjectRequest, namespace: str
    ) -> AsyncIterator[subjects.SubjectRecord]:
        """Journaled writes."""
        for name in self._names(namespace, selection(request)):
            for entry in self._journal.of(name):
                yield record_of(_AGENT, f"{name}/journal/{entry.number}", entry)

    def _names(self, namespace: str, is_about: Callable[[Memory], bool]) -> list[str]:
        """Memories of which any journaled write is about it."""
        return [
            name
            for name in self._journal.names(namespace)
            if any(is_about(_content(one)) for one in self._journal.of(name))
        ]


def _deletes(entry: JournalEntry) -> bool:
    return entry.HasField("delete")


def _content(entry: JournalEntry) -> Memory:
    """What it writes; a deletion nothing."""
    return entry.update.memory if entry.HasField("update") else entry.add.memory
