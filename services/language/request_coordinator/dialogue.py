"""What was said before in a session, and what is added to it. A request is answered without, where
the agent that keeps it is away; who asks is told.
"""

from __future__ import annotations

from typing import Final

from services.language.request_coordinator.asked import Asked, share_s
from services.language.request_coordinator.calling import Unanswered, called, headers
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.memory.v1 import session_memory_service_pb2 as sessions
from tandem.memory.v1 import session_memory_service_pb2_grpc as rpc
from tandem.memory.v1 import session_pb2 as said

KEEPER: Final = "tandem.memory.v1.SessionMemoryService"
_SHARE: Final = 0.1
_WITHIN_S: Final = 2.0
_TOKENS_MAX: Final = 4000
_QUERY_CHARS_MAX: Final = 4096
_TURN_CHARS_MAX: Final = 32_768
_SPEAKERS: Final = {
    said.TURN_ROLE_USER: pb.SPEAKER_USER,
    said.TURN_ROLE_ASSISTANT: pb.SPEAKER_ASSISTANT,
}


class Dialogue:
    """Over the agent that keeps sessions."""

    def __init__(self, keeper: rpc.SessionMemoryServiceAsyncStub) -> None:
        self._keeper = keeper

    async def before(self, asked: Asked) -> list[pb.Turn]:
        """The oldest first; none where the session begins now. Raises Unanswered."""
        request = sessions.GetWindowRequest(
            session=asked.session, tokens_max=_TOKENS_MAX, query=asked.text[:_QUERY_CHARS_MAX]
        )
        try:
            window = await called(
                KEEPER,
                lambda timeout: self._keeper.GetWindow(
                    request, timeout=timeout, metadata=headers(asked)
                ),
                share_s(_SHARE, _WITHIN_S),
            )
        except Unanswered as error:
            if error.found.reason == "SESSION_NOT_FOUND":
                return []
            raise
        summary = [pb.Turn(speaker=pb.SPEAKER_SYSTEM, text=window.summary)]
        return [
            *(summary if window.summary else ()),
            *(_turn(one) for one in (*window.recalled, *window.turns) if not _is_of(one, asked)),
        ]

    async def keep(self, asked: Asked, answer: str) -> nouns.Shortfall | None:
        """Adds both sides of it, once however often it is asked under one correlation id."""
        turns = [("q", said.TURN_ROLE_USER, asked.text)]
        if answer:
            turns.append(("a", said.TURN_ROLE_ASSISTANT, answer[:_TURN_CHARS_MAX]))
        try:
            for suffix, role, text in turns:
                request = sessions.AppendTurnRequest(
                    session=asked.session,
                    turn_id=f"{asked.correlation_id}:{suffix}",
                    role=role,
                    text=text,
                )
                await self._append(request, asked)
        except Unanswered as error:
            return error.shortfall
        return None

    async def _append(self, request: sessions.AppendTurnRequest, asked: Asked) -> None:
        await called(
            KEEPER,
            lambda timeout: self._keeper.AppendTurn(
                request, timeout=timeout, metadata=headers(asked)
            ),
            share_s(_SHARE, _WITHIN_S),
        )


def _is_of(one: said.Turn, asked: Asked) -> bool:
    """Whether an earlier attempt at the same request wrote it."""
    return one.turn_id.startswith(f"{asked.correlation_id}:")


def _turn(one: said.Turn) -> pb.Turn:
    return pb.Turn(speaker=_SPEAKERS.get(one.role, pb.SPEAKER_SYSTEM), text=one.text)
