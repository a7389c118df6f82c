"""Messages to the library and back. Contract: tandem.memory.v1.KnowledgeBaseService."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from services.memory.knowledge_base import browsing, graph, names, refusal
from services.memory.knowledge_base.answer import Answers
from services.memory.knowledge_base.desk import Desk
from services.memory.knowledge_base.library import Library, space_of
from services.memory.knowledge_base.names import OWN_NAMESPACE, namespace_of
from services.memory.knowledge_base.search import HYBRID, Search, Wanted
from services.memory.knowledge_base.subjects import Subjects, Whom
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subject_nouns
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.hosting.exporting import in_messages
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting
from tandemkit.storage.vectors.wire import space_message

_LIMIT: Final = 10
_PATH_FACTS = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """What calls are answered from."""

    library: Library
    desk: Desk
    search: Search
    answers: Answers
    subjects: Subjects
    # Whether calls without a namespace ask the platform's own documents too.
    asks_own: bool


class KnowledgeBase(rpc.KnowledgeBaseServiceServicer):
    def __init__(self, parts: Parts) -> None:
        self._library, self._desk, self._search = parts.library, parts.desk, parts.search
        self._answers, self._subjects = parts.answers, parts.subjects
        self._asks_own = parts.asks_own

    async def IngestDocuments(
        self, request: pb.IngestDocumentsRequest, _context: Context
    ) -> AsyncIterator[pb.IngestDocumentsResponse]:
        _check_writing(namespace_of(request.namespace))
        with refusal.storing():
            key = await self._desk.accept(request)
            async for ingest in self._desk.follow(key):
                yield pb.IngestDocumentsResponse(ingest=ingest)

    async def ResumeIngest(
        self, request: pb.ResumeIngestRequest, _context: Context
    ) -> AsyncIterator[pb.ResumeIngestResponse]:
        _check_writing(names.Name.parsed(request.name).namespace)
        with refusal.storing():
            key = await self._desk.resume(request.name)
            async for ingest in self._desk.follow(key):
                yield pb.ResumeIngestResponse(ingest=ingest)

    async def CancelIngest(
        self, request: pb.CancelIngestRequest, _context: Context
    ) -> pb.CancelIngestResponse:
        _check_writing(names.Name.parsed(request.name).namespace)
        with refusal.storing():
            return pb.CancelIngestResponse(ingest=await self._desk.cancel(request.name))

    async def GetIngest(
        self, request: pb.GetIngestRequest, _context: Context
    ) -> pb.GetIngestResponse:
        access.check_named(request.name, Right.READ)
        with refusal.storing():
            return pb.GetIngestResponse(ingest=await self._desk.find(request.name))

    async def ListIngests(
        self, request: pb.ListIngestsRequest, _context: Context
    ) -> pb.ListIngestsResponse:
        access.check(request.namespace, Right.READ)
        with refusal.storing():
            return await self._library.read(lambda one: browsing.ingests(one, request))

    async def GetDocument(
        self, request: pb.GetDocumentRequest, _context: Context
    ) -> pb.GetDocumentResponse:
        _check_reading(names.Name.parsed(request.name).namespace)
        with refusal.storing():
            return await self._library.read(lambda one: browsing.document(one, request))

    async def ListDocuments(
        self, request: pb.ListDocumentsRequest, _context: Context
    ) -> pb.ListDocumentsResponse:
        _check_reading(request.namespace)
        with refusal.storing():
            return await self._library.read(lambda one: browsing.documents(one, request))

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, _context: Context
    ) -> pb.DeleteDocumentResponse:
        _check_writing(names.Name.parsed(request.name).namespace)
        with refusal.storing():
            was_there = await self._subjects.delete_document(names.Name.parsed(request.name))
        return pb.DeleteDocumentResponse(was_there=was_there)

    async def SearchKnowledge(
        self, request: pb.SearchKnowledgeRequest, _context: Context
    ) -> pb.SearchKnowledgeResponse:
        wanted = Wanted(
            request.query,
            self._namespaces(request.namespace),
            request.limit or _LIMIT,
            request.mode or HYBRID,
            request.filter,
        )
        with refusal.storing():
            found = await self._search.find(wanted)
        return pb.SearchKnowledgeResponse(
            hits=fitting(found.hits),
            degraded=found.degraded,
            space=space_message(found.space) if found.space else None,
        )

    async def Ask(self, request: pb.AskRequest, _context: Context) -> pb.AskResponse:
        with refusal.storing():
            return await self._answers.answer(
                request.question, self._namespaces(request.namespace), request.filter
            )

    async def ListFacts(
        self, request: pb.ListFactsRequest, _context: Context
    ) -> pb.ListFactsResponse:
        _check_reading(request.namespace)
        with refusal.storing():
            return await self._library.read(lambda one: browsing.facts(one, request))

    async def FindPath(self, request: pb.FindPathRequest, _context: Context) -> pb.FindPathResponse:
        _check_reading(request.namespace)
        namespace = namespace_of(request.namespace)
        ends = (request.start, request.goal)

        def look(database: sqlite3.Connection) -> graph.Path:
            space = space_of(database, namespace)
            return graph.path(database, space, ends, request.facts_max or _PATH_FACTS)

        with refusal.storing():
            found = await self._library.read(look)
        facts = [browsing.fact_message(one, namespace) for one in found.facts]
        return pb.FindPathResponse(facts=facts, is_partial=found.is_partial)

    async def DeleteSubject(
        self, request: subject_nouns.DeleteSubjectRequest, _context: Context
    ) -> subject_nouns.DeleteSubjectResponse:
        access.check(request.namespace, Right.OWN)
        with refusal.storing():
            deleted = await self._subjects.delete(Whom.of(request))
        return subject_nouns.DeleteSubjectResponse(deleted=deleted)

    async def ExportSubject(
        self, request: subject_nouns.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subject_nouns.ExportSubjectResponse]:
        access.check(request.namespace, Right.OWN)
        with refusal.storing():
            async for told in in_messages(self._subjects.export(Whom.of(request))):
                yield told

    def _namespaces(self, said: str) -> tuple[str, ...]:
        """Where to look, as far as the caller may."""
        _check_reading(said)
        if said or not self._asks_own:
            return (namespace_of(said),)
        return namespace_of(said), OWN_NAMESPACE


def _check_reading(namespace: str) -> None:
    """What stands in the platform's own documents is no secret."""
    if namespace != OWN_NAMESPACE:
        access.check(namespace, Right.READ)


def _check_writing(namespace: str) -> None:
    """What everybody reads as the platform's own is its operator's alone to change."""
    access.check(namespace, Right.OWN if namespace == OWN_NAMESPACE else Right.WRITE)
