"""tandem.memory.v1.MemoryOrchestratorService over the book, the desk and the search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator import refusal
from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.consolidation import Consolidation
from services.memory.memory_orchestrator.desk import Desk
from services.memory.memory_orchestrator.facts import holds_at, known_at, tell
from services.memory.memory_orchestrator.noting import Failures
from services.memory.memory_orchestrator.place import Place
from services.memory.memory_orchestrator.search import Search
from services.memory.memory_orchestrator.strength import Fading
from services.memory.memory_orchestrator.subjects import Subjects
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandem.memory.v1 import subject_pb2
from tandemkit.core.clock import Clock
from tandemkit.hosting import access, memory_refusals
from tandemkit.hosting.access import Right
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting_page, token_after
from tandemkit.storage.subjects import folded

_PAGE: Final = 100
_PAGE_MAX, _FACTS_PAGE_MAX = 1000, 500


@dataclass(frozen=True, slots=True)
class Parts:
    """What answers."""

    book: Book
    desk: Desk
    search: Search
    subjects: Subjects
    consolidation: Consolidation
    fading: Fading
    clock: Clock


class Memories(rpc.MemoryOrchestratorServiceServicer):
    def __init__(self, parts: Parts, failures: Failures) -> None:
        self._book, self._desk, self._search = parts.book, parts.desk, parts.search
        self._subjects, self._fading, self._clock = parts.subjects, parts.fading, parts.clock
        self._consolidation, self._failures = parts.consolidation, failures

    async def AddMemory(
        self, request: pb.AddMemoryRequest, _context: Context
    ) -> pb.AddMemoryResponse:
        access.check(request.namespace, Right.WRITE)
        with self._failures.of("add_memory", request.namespace), refusal.storing():
            memory, was_there = await self._desk.add(request)
        return pb.AddMemoryResponse(memory=self._told(memory), was_there=was_there)

    async def GetMemory(
        self, request: pb.GetMemoryRequest, _context: Context
    ) -> pb.GetMemoryResponse:
        access.check_named(request.name, Right.READ)
        place = Place.of(request.name)
        with self._failures.of("get_memory", place.namespace), refusal.storing():
            record = await self._book.find(place)
        if record is None:
            raise memory_refusals.missing(request.name)
        return pb.GetMemoryResponse(memory=self._told(record.memory))

    async def UpdateMemory(
        self, request: pb.UpdateMemoryRequest, _context: Context
    ) -> pb.UpdateMemoryResponse:
        access.check_named(request.name, Right.WRITE)
        namespace = Place.of(request.name).namespace
        with self._failures.of("update_memory", namespace), refusal.storing():
            memory = await self._desk.update(request)
        return pb.UpdateMemoryResponse(memory=self._told(memory))

    async def DeleteMemory(
        self, request: pb.DeleteMemoryRequest, _context: Context
    ) -> pb.DeleteMemoryResponse:
        access.check_named(request.name, Right.WRITE)
        namespace = Place.of(request.name).namespace
        with self._failures.of("delete_memory", namespace), refusal.storing():
            return await self._desk.delete(request)

    async def SearchMemories(
        self, request: pb.SearchMemoriesRequest, _context: Context
    ) -> pb.SearchMemoriesResponse:
        access.check(request.namespace, Right.READ)
        with self._failures.of("search_memory", request.namespace), refusal.storing():
            return await self._search.find(request)

    async def ListMemories(
        self, request: pb.ListMemoriesRequest, _context: Context
    ) -> pb.ListMemoriesResponse:
        namespace = access.check(request.namespace, Right.READ)
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        scope = f"memories:{namespace}"
        after = refusal.page_start(request.page_token, scope)
        with self._failures.of("list_memories", namespace), refusal.storing():
            page = await self._book.page(namespace, after, size)
        last = page[-1][0].id if len(page) == size else ""
        found = [(place.id, self._told(record.memory)) for place, record in page]
        told, token = fitting_page(found, last, scope)
        return pb.ListMemoriesResponse(memories=told, next_page_token=token)

    async def QueryFacts(
        self, request: pb.QueryFactsRequest, _context: Context
    ) -> pb.QueryFactsResponse:
        namespace = access.check(request.namespace, Right.READ)
        size = min(request.page_size or _PAGE, _FACTS_PAGE_MAX)
        about = (namespace, request.subject, request.predicate)
        scope = f"facts:{namespace}:{folded(request.subject)}:{folded(request.predicate)}"
        after = refusal.page_start(request.page_token, scope)
        with self._failures.of("query_facts", namespace), refusal.storing():
            page, last = await self._book.facts(*about, after, size)
        found: list[tuple[str, nouns.Memory]] = []
        now = Timestamp()
        now.FromDatetime(self._clock.now())
        known = request.known_at if request.HasField("known_at") else None
        valid = request.valid_at if request.HasField("valid_at") else now
        for behind, record in page:
            # Of what another replica wrote this moment its clock may know better.
            belief = known_at(record, known) if known else record.beliefs[-1]
            if belief is not None and holds_at(belief, valid):
                memory = self._told(record.memory)
                tell(memory, belief, namespace)
                found.append((behind, memory))
        told, token = fitting_page(found, last, scope)
        return pb.QueryFactsResponse(memories=told, next_page_token=token)

    async def ConsolidateMemories(
        self, request: pb.ConsolidateMemoriesRequest, _context: Context
    ) -> pb.ConsolidateMemoriesResponse:
        namespace = access.check(request.namespace, Right.WRITE)
        scope = f"consolidation:{namespace}:{request.session}"
        after = refusal.page_start(request.resume_token, scope)
        with self._failures.of("consolidate_memories", namespace), refusal.storing():
            done, last = await self._consolidation.run(request, namespace, after)
        done.resume_token = token_after(last, scope) if last else ""
        return done

    async def DeleteSubject(
        self, request: subject_pb2.DeleteSubjectRequest, _context: Context
    ) -> subject_pb2.DeleteSubjectResponse:
        access.check(request.namespace, Right.OWN)
        with self._failures.of("delete_subject", request.namespace), refusal.storing():
            return await self._subjects.delete(request)

    async def ExportSubject(
        self, request: subject_pb2.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subject_pb2.ExportSubjectResponse]:
        access.check(request.namespace, Right.OWN)
        with self._failures.of("export_subject", request.namespace), refusal.storing():
            async for told in self._subjects.export(request):
                yield told

    def _told(self, memory: nouns.Memory) -> nouns.Memory:
        memory.strength = self._fading.strength(memory, self._clock.now())
        return memory
