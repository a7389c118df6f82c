"""Everything about a subject: found in the truth, told or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.desk import Desk
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.place import Place, namespace_of
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandem.memory.v1 import subject_pb2
from tandemkit.hosting.exporting import in_messages, record_of
from tandemkit.storage.memories import Request, selection

_PAGE: Final = 200
_AT_ONCE: Final = 32
_AGENT: Final = pb.DESCRIPTOR.services_by_name["MemoryOrchestratorService"].full_name


class Subjects:
    """Raises what the store raises."""

    def __init__(self, book: Book, desk: Desk, indices: Indices) -> None:
        self._book, self._desk, self._indices = book, desk, indices

    async def delete(
        self, request: subject_pb2.DeleteSubjectRequest
    ) -> subject_pb2.DeleteSubjectResponse:
        count = 0
        async for part in self._found(request):
            for start in range(0, len(part), _AT_ONCE):
                places = [place for place, _ in part[start : start + _AT_ONCE]]
                gone = await asyncio.gather(*(self._desk.forget(place) for place in places))
                count += sum(gone)
        remains = await self._desk.scrub(thoroughly=True)
        await self._indices.tidy(namespace_of(request.namespace))
        return subject_pb2.DeleteSubjectResponse(deleted=count, remains=remains)

    async def export(
        self, request: subject_pb2.ExportSubjectRequest
    ) -> AsyncIterator[subject_pb2.ExportSubjectResponse]:
        async for told in in_messages(self._records(request)):
            yield told

    async def _records(
        self, request: subject_pb2.ExportSubjectRequest
    ) -> AsyncIterator[subject_pb2.SubjectRecord]:
        async for part in self._found(request):
            for place, record in part:
                yield record_of(_AGENT, place.name, record.memory)

    async def _found(
        self, request: Request
    ) -> AsyncIterator[list[tuple[Place, nouns.MemoryRecord]]]:
        """A page's at a time."""
        namespace, is_meant = namespace_of(request.namespace), selection(request)
        after = ""
        while page := await self._book.page(namespace, after, _PAGE):
            yield [one for one in page if is_meant(one[1].memory)]
            after = page[-1][0].id
