"""tandem.memory.v1.MemoryClientService over reads, writes and the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from services.memory.memory_client import refusal
from services.memory.memory_client.matter import Matter
from services.memory.memory_client.reading import Reading
from services.memory.memory_client.resolving import Resolving
from services.memory.memory_client.telling import Telling
from services.memory.memory_client.writing import Writing
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import memory_client_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as orchestrator
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.journal_pb2 import JournalEntry
from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.hosting.exporting import in_messages
from tandemkit.hosting.news import News
from tandemkit.rpc.context import Context, time_left_s

# Of changes that follow each other closely only the last is told.
_QUIET_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Parts:
    """What the calls are made of."""

    reading: Reading
    writing: Writing
    telling: Telling
    resolving: Resolving
    matter: Matter
    fresh_for_s: float
    clock: Clock
    news: News


class MemoryClient(rpc.MemoryClientServiceServicer):
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def AddMemory(
        self, request: orchestrator.AddMemoryRequest, context: Context
    ) -> pb.MemoryClientServiceAddMemoryResponse:
        request.namespace = access.check(request.namespace, Right.WRITE)
        # The id is what makes a write count once, however often it is sent.
        request.memory_id = request.memory_id or ids.event_id()
        name = f"namespaces/{request.namespace}/memories/{request.memory_id}"
        with refusal.storing():
            done = await self._parts.writing.write(
                JournalEntry(name=name, add=request), time_left_s(context)
            )
        return pb.MemoryClientServiceAddMemoryResponse(
            memory=done.memory,
            standing=done.standing,
            journal_number=done.number,
            was_there=done.was_there,
        )

    async def UpdateMemory(
        self, request: orchestrator.UpdateMemoryRequest, context: Context
    ) -> pb.MemoryClientServiceUpdateMemoryResponse:
        access.check_named(request.name, Right.WRITE)
        request.request_id = request.request_id or ids.event_id()
        with refusal.storing():
            done = await self._parts.writing.write(
                JournalEntry(name=request.name, update=request), time_left_s(context)
            )
        return pb.MemoryClientServiceUpdateMemoryResponse(
            memory=done.memory, standing=done.standing, journal_number=done.number
        )

    async def DeleteMemory(
        self, request: orchestrator.DeleteMemoryRequest, context: Context
    ) -> pb.MemoryClientServiceDeleteMemoryResponse:
        access.check_named(request.name, Right.WRITE)
        with refusal.storing():
            done = await self._parts.writing.write(
                JournalEntry(name=request.name, delete=request), time_left_s(context)
            )
        return pb.MemoryClientServiceDeleteMemoryResponse(
            standing=done.standing,
            journal_number=done.number,
            was_there=done.was_there,
            remains=done.remains,
        )

    async def GetMemory(
        self, request: pb.MemoryClientServiceGetMemoryRequest, context: Context
    ) -> pb.MemoryClientServiceGetMemoryResponse:
        access.check_named(request.name, Right.READ)
        age_max_s = self._parts.fresh_for_s
        if request.HasField("age_max"):
            age_max_s = request.age_max.ToTimedelta().total_seconds()
        return await self._parts.reading.memory(request.name, age_max_s, time_left_s(context))

    async def SearchMemories(
        self, request: orchestrator.SearchMemoriesRequest, context: Context
    ) -> pb.MemoryClientServiceSearchMemoriesResponse:
        namespace = access.check(request.namespace, Right.READ)
        return await self._parts.reading.search(request, namespace, time_left_s(context))

    async def GetJournal(
        self, request: pb.GetJournalRequest, _context: Context
    ) -> pb.GetJournalResponse:
        return self._parts.telling.page(request)

    async def WatchJournal(
        self, _request: pb.WatchJournalRequest, _context: Context
    ) -> AsyncIterator[pb.WatchJournalResponse]:
        with self._parts.news.heard() as changed:
            while True:
                changed.clear()
                yield pb.WatchJournalResponse(standing=self._parts.telling.standing())
                await changed.wait()
                await self._parts.clock.sleep(_QUIET_S)

    async def ResolveJournalEntry(
        self, request: pb.ResolveJournalEntryRequest, _context: Context
    ) -> pb.ResolveJournalEntryResponse:
        with refusal.storing():
            await self._parts.resolving.resolve(request)
        return pb.ResolveJournalEntryResponse(standing=self._parts.telling.standing())

    async def DeleteSubject(
        self, request: subjects.DeleteSubjectRequest, _context: Context
    ) -> subjects.DeleteSubjectResponse:
        namespace = access.check(request.namespace, Right.OWN)
        with refusal.storing():
            deleted = await self._parts.matter.delete(request, namespace)
        remains = self._parts.matter.remains()
        return subjects.DeleteSubjectResponse(deleted=deleted, remains=remains)

    async def ExportSubject(
        self, request: subjects.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subjects.ExportSubjectResponse]:
        namespace = access.check(request.namespace, Right.READ)
        async for told in in_messages(self._parts.matter.exported(request, namespace)):
            yield told
