"""tandem.memory.v1.SessionMemoryService over the sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from services.memory.session_memory import refusal
from services.memory.session_memory.matter import IsAbout, Matter
from services.memory.session_memory.sessions import Sessions
from services.memory.session_memory.shelf import Shelf
from tandem.memory.v1 import session_memory_service_pb2 as pb
from tandem.memory.v1 import session_memory_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.session_pb2 import DigestSentence, Turn
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.hosting.exporting import in_messages, record_of
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting
from tandemkit.storage.subjects import Mention, folded

# As many as a message has room for: five bytes each.
_TOKENS, _TOKENS_MAX = 2000, 500_000
_LIMIT: Final = 5
_PAGE, _PAGE_MAX = 100, 1000
_AGENT: Final = pb.DESCRIPTOR.services_by_name["SessionMemoryService"].full_name
Asked = TypeVar("Asked", subjects.DeleteSubjectRequest, subjects.ExportSubjectRequest)


class SessionMemory(rpc.SessionMemoryServiceServicer):
    def __init__(self, shelf: Shelf, sessions: Sessions) -> None:
        self._shelf, self._sessions, self._matter = shelf, sessions, Matter(shelf)

    async def AppendTurn(
        self, request: pb.AppendTurnRequest, _context: Context
    ) -> pb.AppendTurnResponse:
        access.check_named(request.session, Right.WRITE)
        with refusal.storing():
            done = await self._sessions.append(request)
        answer = pb.AppendTurnResponse(session=done.record.session, was_there=done.was_there)
        answer.turn.CopyFrom(done.turn)
        answer.turn.ClearField("text")
        return answer

    async def GetWindow(
        self, request: pb.GetWindowRequest, _context: Context
    ) -> pb.GetWindowResponse:
        access.check_named(request.session, Right.READ)
        with refusal.storing():
            found = await self._sessions.window(
                request.session, min(request.tokens_max or _TOKENS, _TOKENS_MAX), request.query
            )
        return pb.GetWindowResponse(
            summary=found.summary,
            recalled=found.recalled,
            turns=found.turns,
            tokens=found.tokens,
            session=self._shelf.record(request.session).session,
        )

    async def RecallTurns(
        self, request: pb.RecallTurnsRequest, _context: Context
    ) -> pb.RecallTurnsResponse:
        access.check_named(request.session, Right.READ)
        with refusal.storing():
            found = await self._sessions.recall(
                request.session, request.query, request.limit or _LIMIT
            )
        hits = (pb.TurnHit(turn=turn, score=score) for turn, score in found)
        return pb.RecallTurnsResponse(hits=fitting(hits))

    async def CloseSession(
        self, request: pb.CloseSessionRequest, _context: Context
    ) -> pb.CloseSessionResponse:
        access.check_named(request.session, Right.WRITE)
        with refusal.storing():
            record = await self._sessions.close(request.session)
        return pb.CloseSessionResponse(session=record.session)

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, _context: Context
    ) -> pb.DeleteSessionResponse:
        access.check_named(request.session, Right.WRITE)
        with refusal.storing():
            await self._sessions.delete(request.session)
            await self._shelf.scrub()
        return pb.DeleteSessionResponse()

    async def ListSessions(
        self, request: pb.ListSessionsRequest, _context: Context
    ) -> pb.ListSessionsResponse:
        namespace = access.check(request.namespace, Right.READ)
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        scope = f"sessions:{namespace}"
        page = refusal.page(
            self._shelf.names(namespace), scope, token=request.page_token, size=size
        )
        sessions = [self._shelf.record(name).session for name in page.names]
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=page.next_token)

    async def DeleteSubject(
        self, request: subjects.DeleteSubjectRequest, _context: Context
    ) -> subjects.DeleteSubjectResponse:
        namespace = access.check(request.namespace, Right.OWN)
        with refusal.storing():
            deleted = await self._matter.forget(namespace, _is_about(request))
            if request.whole_namespace:
                for name in self._shelf.names(namespace):
                    await self._sessions.delete(name)
            remains = await self._shelf.scrub(thoroughly=True)
        return subjects.DeleteSubjectResponse(deleted=deleted, remains=remains)

    async def ExportSubject(
        self, request: subjects.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subjects.ExportSubjectResponse]:
        namespace = access.check(request.namespace, Right.READ)
        turns = self._matter.turns(namespace, _is_about(request))
        with refusal.storing():
            async for told in in_messages(_records(turns)):
                yield told


async def _records(
    turns: AsyncIterator[tuple[str, Turn]],
) -> AsyncIterator[subjects.SubjectRecord]:
    async for session, turn in turns:
        yield record_of(_AGENT, f"{session}/turns/{turn.number}", turn)


def _is_about(request: Asked) -> IsAbout:
    if request.whole_namespace:
        return lambda _said: True
    subject, mention = folded(request.subject), Mention(request.subject)

    def is_about(said: Turn | DigestSentence) -> bool:
        if subject in map(folded, said.subjects):
            return True
        return request.mentions and mention.is_in(said.text)

    return is_about
