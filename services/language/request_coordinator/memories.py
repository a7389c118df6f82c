"""What people have remembered: kept, or told."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from services.language.request_coordinator.asked import Answer, Asked, Said, pieces, share_s
from services.language.request_coordinator.calling import (
    Unanswered,
    called,
    headers,
    nobody_answered,
)
from services.language.request_coordinator.knowledge import Knowledge
from services.language.request_coordinator.rules import KEEP, kept
from tandem.language.v1 import answer_pb2 as nouns
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandemkit.hosting import access
from tandemkit.rpc.failure import Refused

KEEPER: Final = "tandem.memory.v1.MemoryOrchestratorService"
_SHARE: Final = 0.9
_WITHIN_S: Final = 10.0


class Memories:
    """Keeps what the rule of keeping found; any other request is a question."""

    def __init__(
        self, keeper: memory_rpc.MemoryOrchestratorServiceAsyncStub, knowledge: Knowledge
    ) -> None:
        self._keeper, self._knowledge = keeper, knowledge

    async def answer(self, asked: Asked) -> AsyncIterator[Said]:
        try:
            if asked.routing.rule == KEEP:
                answer, shortfalls = await self._keep(asked)
            else:
                within_s = share_s(_SHARE, _WITHIN_S)
                answer, shortfalls = await self._knowledge.of_memories(asked, within_s)
        except Unanswered as error:
            if asked.routing.rule == KEEP and not error.found.is_away:
                # Too long, deleted before, no room: in the words of who keeps it.
                raise Refused(error.found.as_said) from error
            raise nobody_answered([error]) from error
        for shortfall in shortfalls:
            yield shortfall
        for piece in pieces(answer.text):
            yield piece
        yield answer

    async def _keep(self, asked: Asked) -> tuple[Answer, list[nouns.Shortfall]]:
        """The same request with the same correlation id is kept once."""
        namespace = access.check(asked.namespace, access.Right.WRITE)
        text = kept(asked.text)
        seed = f"{namespace}\n{asked.correlation_id}\n{text}"
        request = memory.AddMemoryRequest(
            namespace=namespace,
            memory_id=f"ask-{hashlib.blake2b(seed.encode(), digest_size=16).hexdigest()}",
        )
        request.memory.text = text
        request.memory.source.caller = access.caller()
        request.memory.source.session = asked.session
        added = await called(
            KEEPER,
            lambda timeout: self._keeper.AddMemory(
                request, timeout=timeout, metadata=headers(asked)
            ),
            share_s(_SHARE, _WITHIN_S),
        )
        citation = nouns.Citation(
            number=1, name=added.memory.name, quote=text, start_char=0, end_char=len(text)
        )
        answerer = nouns.Answerer(service=KEEPER, backend="memory")
        return Answer("It is remembered. [1]", answerer, [citation]), []
