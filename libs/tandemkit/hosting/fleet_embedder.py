"""Texts as vectors, as the fleet makes them for agents that can do without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.current import SERVING
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.remote import RemoteFailure

_BATCH = (Priority.BATCH.header,)
_SHARE = 0.4
_LATER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Vectors:
    """One for each text, in their order, all of one space."""

    space: nouns.EmbeddingSpace
    vectors: Sequence[Sequence[float]]


class FleetEmbedder:
    """Raises Unreachable where the same may work later, and Refused where somebody has to act."""

    def __init__(self, stub: rpc.EmbeddingServiceAsyncStub) -> None:
        self._stub = stub

    async def question(self, text: str, within_s: float) -> Vectors:
        """Of a text that is to find others, for somebody who waits: it takes a share of the time
        that is left for the call being served, for without it there is still an answer.
        """
        request = pb.EmbedTextsRequest(texts=[text], purpose=pb.EMBEDDING_PURPOSE_QUERY)
        current = SERVING.get()
        rest_s = current.rest_s() if current is not None else None
        if rest_s is not None:
            within_s = min(within_s, rest_s * _SHARE)
        return await self._embedded(request, within_s)

    async def passages(
        self, texts: Sequence[str], within_s: float, *, is_public: bool = False
    ) -> Vectors:
        """Of texts that are to be found, as work that may wait. The service keeps nothing of it,
        unless all fleets of this machine may have the vectors.
        """
        keep = pb.EMBEDDING_KEEP_MACHINE if is_public else pb.EMBEDDING_KEEP_NEVER
        request = pb.EmbedTextsRequest(texts=texts, keep=keep)
        return await self._embedded(request, within_s, _BATCH)

    async def _embedded(
        self,
        request: pb.EmbedTextsRequest,
        within_s: float,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Vectors:
        try:
            found = await self._stub.EmbedTexts(request, timeout=within_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            told = RemoteFailure.of(error)
            kind = Unreachable if told.code in _LATER else Refused
            cause = told.reason or told.code.name
            raise kind("the texts were not embedded", cause=cause) from error
        return Vectors(found.space, [one.values for one in found.embeddings])
