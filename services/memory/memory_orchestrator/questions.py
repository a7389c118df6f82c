"""A query as the index is asked: its words, and its vector where that can be had in time."""

from __future__ import annotations

import grpc

from services.memory.memory_orchestrator.question import Question
from services.memory.memory_orchestrator.wanted import Wanted
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2_grpc as embedding_rpc
from tandemkit.core.clock import Clock
from tandemkit.ml.text.words import words
from tandemkit.storage.vectors.wire import space_of

# Who asks waits no longer for the better answer.
_WITHIN_S = 1.5


class Questions:
    def __init__(self, stub: embedding_rpc.EmbeddingServiceAsyncStub, clock: Clock) -> None:
        self._stub, self._clock = stub, clock

    async def of(self, query: str, wanted: Wanted, most: int) -> Question:
        """Without a vector where it cannot be embedded in time."""
        told = await self._embedded(query)
        vector = space = None
        if told is not None:
            vector, space = told.embeddings[0].values, space_of(told.space)
        return Question(words(query), wanted, self._clock.now().timestamp(), most, vector, space)

    async def _embedded(self, query: str) -> embedding.EmbedTextsResponse | None:
        if not query.strip():
            return None
        request = embedding.EmbedTextsRequest(
            texts=[query], purpose=embedding.EMBEDDING_PURPOSE_QUERY
        )
        try:
            return await self._stub.EmbedTexts(request, timeout=_WITHIN_S)
        except grpc.aio.AioRpcError:
            # The answer says so.
            return None
