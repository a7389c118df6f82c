"""The agent with scripted servers behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.models.model.agent import AGENT
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.models.config.v1 import model_pb2 as cfg
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.model_servers import ModelServer

QUESTION = "How is the pump of the mill closed?"


def settings_for(*servers: ModelServer, at_once_max: int = 0) -> cfg.ModelSettings:
    """`first`, `second`, ... in their order; `chain` names all of them."""
    settings = cfg.ModelSettings(without_usual_ollama=True)
    chain = settings.names.add(name="chain")
    for name, server in zip(("first", "second", "third"), servers, strict=False):
        backend = settings.backends.add(name=name, at_once_max=at_once_max)
        backend.openai.base_url = f"{server.address}/v1"
        backend.openai.silence_max.FromMilliseconds(2000)
        chain.answerers.append(f"{name}/{server.models[0]}")
    return settings


@asynccontextmanager
async def models(
    settings: cfg.ModelSettings, folder: Path, clock: Clock | None = None
) -> AsyncIterator[rpc.ModelServiceAsyncStub]:
    documents = fake_agent(knowledge.DESCRIPTOR)
    async with serving(
        AGENT, settings=settings, beside=(documents,), state_dir=folder, clock=clock
    ) as channel:
        yield rpc.ModelServiceStub(channel)


def request(model: str = "chain", text: str = QUESTION) -> pb.ChatRequest:
    said = chat.ChatMessage(role=chat.CHAT_ROLE_USER, content=text)
    return pb.ChatRequest(model=model, messages=[said], sampling=chat.Sampling(seed=7))


def stream_request(model: str = "chain", text: str = QUESTION) -> pb.StreamChatRequest:
    return pb.StreamChatRequest.FromString(request(model, text).SerializeToString())
