"""Agents that do what the text of a call says, for all faces to ask: one that only REST, MCP and
gRPC reach, and the agent of models, which OpenAI's API and the Open Inference Protocol end at.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from tandem.models.v1 import chat_pb2 as nouns
from tandem.models.v1 import errors_pb2 as refused
from tandem.models.v1 import model_service_pb2 as models
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import text_pb2 as texts
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.testing.agents import fake_agent

MODEL = "script/words"
SAY, ABORT, REFUSE, RETRY, BREAK, HANG = "say ", "abort ", "refuse", "retry", "break", "hang"
RETRY_S = 2.5


class Script:
    """`begun` and `left` count calls that hang, and those of them whose caller went away."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.left = asyncio.Semaphore(0)

    @property
    def agents(self) -> tuple[Agent, ...]:
        return (
            fake_agent(toolbox.DESCRIPTOR, NormalizeText=self._normalize),
            fake_agent(
                models.DESCRIPTOR,
                Chat=self._chat,
                StreamChat=self._stream,
                ListModels=self._models,
                GetModel=self._model,
            ),
        )

    async def _normalize(self, request: Any, context: Any) -> texts.NormalizeTextResponse:
        reasons = errors.ERROR_REASON_UNIT_UNKNOWN, errors.ERROR_REASON_QUOTA_EXCEEDED
        return texts.NormalizeTextResponse(text=await self._done(request.text, context, *reasons))

    async def _chat(self, request: Any, context: Any) -> models.ChatResponse:
        reasons = refused.ERROR_REASON_CONTEXT_TOO_LONG, refused.ERROR_REASON_BACKEND_BUSY
        said = await self._done(request.messages[-1].content, context, *reasons)
        answerer = nouns.Answerer(backend="script", model="words", is_generative=True)
        message = nouns.ChatMessage(role=nouns.CHAT_ROLE_ASSISTANT, content=said)
        return models.ChatResponse(
            message=message, finish_reason=nouns.FINISH_REASON_STOP, answerer=answerer
        )

    async def _stream(self, request: Any, context: Any) -> Any:
        told = await self._chat(request, context)
        yield models.StreamChatResponse(text=told.message.content, answerer=told.answerer)
        yield models.StreamChatResponse(finish_reason=told.finish_reason)

    async def _models(self, _request: Any, _context: Any) -> models.ListModelsResponse:
        made = models.ListModelsResponse()
        made.models.add(name=MODEL, is_generative=True)
        return made

    async def _model(self, _request: Any, _context: Any) -> models.GetModelResponse:
        made = models.GetModelResponse()
        made.model.name, made.model.is_generative = MODEL, True
        return made

    async def _done(self, text: str, context: Any, wrong: int, busy: int) -> str:
        if text.startswith(ABORT):
            code = grpc.StatusCode[text.removeprefix(ABORT)]
            await context.abort(code, "it was told to fail")
        if text == REFUSE:
            raise CallerError(wrong, "it was told to refuse", field="text", unit="ell")
        if text == RETRY:
            raise TransientError(busy, "it was told to be busy", retry_after_s=RETRY_S)
        if text == BREAK:
            raise RuntimeError("a defect of the agent")
        if text == HANG:
            await self._hung()
        return text.removeprefix(SAY)

    async def _hung(self) -> None:
        self.begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.release()
