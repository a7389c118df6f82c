"""The agent of models, as the desks that need one ask it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.language.request_coordinator.asked import Asked, share_s
from services.language.request_coordinator.calling import Unanswered, called, headers, unanswered
from tandem.language.v1 import answer_pb2 as nouns
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.rpc.remote import CallFailed, calling
from tandemkit.rpc.resuming import Patience, resuming

SERVICE: Final = "tandem.models.v1.ModelService"
_SHARE: Final = 0.95
# Where the models are away, what is left is for who answers instead.
_WITHIN_S: Final = 29.0
_LOOK_SHARE: Final = 0.1
_LOOK_S: Final = 1.0
# Who is not there at the beginning is not waited for: others can answer.
_PATIENCE: Final = Patience(beginnings_max=1)


class Models:
    """Over its stub."""

    def __init__(self, stub: rpc.ModelServiceAsyncStub) -> None:
        self._stub = stub

    async def has_language_model(self, asked: Asked) -> bool:
        """Whether one answers under the name that is asked for; not, where nobody says so."""
        request = pb.GetModelRequest(name=asked.model)
        try:
            found = await called(
                SERVICE,
                lambda timeout: self._stub.GetModel(
                    request, timeout=timeout, metadata=headers(asked)
                ),
                share_s(_LOOK_SHARE, _LOOK_S),
            )
        except Unanswered:
            return False
        return found.model.is_generative

    async def parts(
        self, asked: Asked, messages: Sequence[chat.ChatMessage]
    ) -> AsyncIterator[pb.StreamChatResponse]:
        """One stream, whatever host serves the end of it. Raises Unanswered, also in the middle."""
        request = pb.StreamChatRequest(
            model=asked.model, messages=messages, namespace=asked.namespace
        )
        # Who asks for the same request again hears the same, where the backend keeps that.
        request.sampling.seed = zlib.crc32(asked.correlation_id.encode())
        stream = resuming(
            self._stub.StreamChat,
            request,
            patience=_PATIENCE,
            timeout=share_s(_SHARE, _WITHIN_S),
            metadata=headers(asked),
        )
        try:
            with calling():
                async for part in stream:
                    yield part
        except CallFailed as error:
            raise unanswered(SERVICE, error.found) from error


def heard(said: chat.Answerer) -> nouns.Answerer:
    """Who it says that it is."""
    return nouns.Answerer(
        service=SERVICE,
        backend=said.backend,
        model=said.model,
        is_generative=said.is_generative,
        is_fallback=said.is_fallback,
    )
