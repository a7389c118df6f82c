"""Who writes answers: a language model, by the agent that has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.memory.answer.context import Context
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as models
from tandem.models.v1 import model_service_pb2_grpc as models_rpc
from tandemkit.ml.answering.generated import NOT_ANSWERED, cited, conversation, without_strangers
from tandemkit.reach.failure import Refused
from tandemkit.rpc.remote import calling

_WITHIN_S: Final = 20.0
_TOKENS: Final = 512
_ROLES: Final = {"system": chat.CHAT_ROLE_SYSTEM, "user": chat.CHAT_ROLE_USER}


@dataclass(frozen=True, slots=True)
class Written:
    """`cited` are numbers of the context's parts, from 1. Without any it answers nothing. `model`
    wrote it.
    """

    text: str
    cited: list[int]
    model: str


class Writer:
    """Over the stub of the agent of models."""

    def __init__(
        self, settings: cfg.WriterSettings, service: models_rpc.ModelServiceAsyncStub
    ) -> None:
        self._model, self._service = settings.model, service
        self._tokens_max = settings.answer_tokens_max or _TOKENS
        self._within_s = settings.within.ToTimedelta().total_seconds() or _WITHIN_S

    async def write(self, question: str, context: Context) -> Written:
        """Raises CallFailed, and Refused for an answer that stands on none of the texts."""
        request = models.ChatRequest(model=self._model)
        request.sampling.tokens_max, request.sampling.temperature = self._tokens_max, 0.0
        for one in conversation(question, context.text):
            request.messages.add(role=_ROLES[one["role"]], content=one["content"])
        with calling():
            said = await self._service.Chat(request, timeout=self._within_s)
        model = f"{said.answerer.backend}/{said.answerer.model}"
        if not said.answerer.is_generative:
            raise Refused("what answers is no language model", model=model)
        text = said.message.content
        if NOT_ANSWERED in text:
            return Written("", [], model)
        count = len(context.parts)
        numbers = cited(text, count)
        if not numbers:
            raise Refused("the model's answer cites none of the texts", model=model)
        return Written(without_strangers(text, count), numbers, model)
