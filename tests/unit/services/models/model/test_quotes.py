"""tandem.models.v1.ModelService without a language model, over the wire: it quotes, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.models.model.agent import AGENT
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.models.config.v1 import model_pb2 as cfg
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.failures import failure_of

QUOTE = "A leak of the pump is closed with wax."
PASSAGE = "namespaces/default/documents/pumps/passages/1"


async def ask(request: knowledge.AskRequest, _context: Any) -> knowledge.AskResponse:
    if "pump" not in request.question:
        return knowledge.AskResponse()
    answer = knowledge.AskResponse(answer=f"{QUOTE} [1]", is_answered=True)
    answer.citations.add(number=1, name=PASSAGE, uri="pumps.md", quote=QUOTE).span.end_char = 38
    return answer


async def fail(_request: Any, context: Any) -> Any:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")


@asynccontextmanager
async def quoting(folder: Path, **methods: Any) -> AsyncIterator[rpc.ModelServiceAsyncStub]:
    documents = fake_agent(knowledge.DESCRIPTOR, **(methods or {"Ask": ask}))
    # Whoever runs the tests may have one.
    settings = cfg.ModelSettings(without_usual_ollama=True)
    async with serving(AGENT, settings=settings, beside=(documents,), state_dir=folder) as channel:
        yield rpc.ModelServiceStub(channel)


def said(text: str) -> chat.ChatMessage:
    return chat.ChatMessage(role=chat.CHAT_ROLE_USER, content=text)


async def test_quotes_name_their_sources_and_say_what_they_are(tmp_path: Path) -> None:
    """The last question is answered, by no language model."""
    asked = pb.ChatRequest(messages=[said("Who are you?"), said("How is the pump closed?")])
    async with quoting(tmp_path) as models:
        answer = await models.Chat(asked)
    assert answer.message.content == f"{QUOTE} [1]"
    assert answer.finish_reason == chat.FINISH_REASON_STOP
    assert not answer.answerer.is_generative
    assert (answer.answerer.backend, answer.answerer.model) == ("extractive", "quotes")
    assert [(one.name, one.quote) for one in answer.sources] == [(PASSAGE, QUOTE)]
    assert answer.usage.is_estimated


async def test_a_stream_of_quotes_is_the_answer_in_parts(tmp_path: Path) -> None:
    """Who answers is in the first, on what it stands in the last."""
    asked = pb.StreamChatRequest(messages=[said("How is the pump closed?")])
    async with quoting(tmp_path) as models:
        parts = [part async for part in models.StreamChat(asked)]
    assert "".join(part.text for part in parts) == f"{QUOTE} [1]"
    assert len(parts) > 2
    assert parts[0].answerer.backend == "extractive"
    assert parts[0].response_id
    assert [one.name for one in parts[-1].sources] == [PASSAGE]
    assert parts[-1].finish_reason == chat.FINISH_REASON_STOP


async def test_what_nothing_stored_answers_is_not_made_up(tmp_path: Path) -> None:
    """The answer says so, and that there is no model."""
    async with quoting(tmp_path) as models:
        answer = await models.Chat(pb.ChatRequest(messages=[said("Who wrote the opera?")]))
    assert "No language model is configured" in answer.message.content
    assert not answer.sources


async def test_without_documents_either_it_is_a_typed_failure(tmp_path: Path) -> None:
    """Nobody takes silence for an answer."""
    async with quoting(tmp_path, Ask=fail) as models:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await models.Chat(pb.ChatRequest(messages=[said("How is the pump closed?")]))
    failure = failure_of(caught.value)
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.reason == "BACKEND_UNREACHABLE"


async def test_documents_that_come_back_are_asked_at_once(tmp_path: Path) -> None:
    """However often they were away: the mesh knows how they are."""
    asked = 0

    async def late(request: knowledge.AskRequest, context: Any) -> knowledge.AskResponse:
        nonlocal asked
        asked += 1
        if asked <= 5:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not yet")
        return await ask(request, context)

    question = pb.ChatRequest(messages=[said("How is the pump closed?")])
    async with quoting(tmp_path, Ask=late) as models:
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError):
                await models.Chat(question)
        assert (await models.Chat(question)).sources


async def test_what_quotes_cannot_do_is_said(tmp_path: Path) -> None:
    """Tools, JSON and continuations need a language model."""
    asked = pb.ChatRequest(messages=[said("pump?")], tools=[chat.Tool(name="open")])
    formed = pb.ChatRequest(messages=[said("pump?")])
    formed.form.json_object.SetInParent()
    async with quoting(tmp_path) as models:
        for call in (
            models.Chat(asked),
            models.Chat(formed),
            models.Complete(pb.CompleteRequest(prompt="pump")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            failure = failure_of(caught.value)
            assert failure.code is grpc.StatusCode.UNIMPLEMENTED
            assert failure.reason == "FEATURE_UNSUPPORTED"


async def test_models_are_listed_by_name(tmp_path: Path) -> None:
    """One that there is not has a reason of its own."""
    async with quoting(tmp_path) as models:
        listed = await models.ListModels(pb.ListModelsRequest())
        backends = await models.ListBackends(pb.ListBackendsRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await models.GetModel(pb.GetModelRequest(name="openai/gpt-9"))
    assert [one.name for one in listed.models] == ["default", "extractive/quotes"]
    assert [one.name for one in backends.backends] == ["extractive"]
    assert failure_of(caught.value).reason == "MODEL_UNKNOWN"
