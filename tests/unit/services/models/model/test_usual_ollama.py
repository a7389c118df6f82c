"""An Ollama that nobody named: tandem.models.v1.ModelService finds it, over the wire."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tandem.models.config.v1 import model_pb2 as cfg
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tandemkit.testing.ollama_endpoint import MODEL, OllamaEndpoint, ollama_endpoint
from tandemkit.testing.parts import free_ports
from tests.unit.services.models.model.living import models, request

ANYBODY = ""


@asynccontextmanager
async def finding(
    address: str, folder: Path, clock: FakeClock
) -> AsyncIterator[rpc.ModelServiceAsyncStub]:
    """The agent with the stanza's settings, but for where Ollama is."""
    usual = cfg.OllamaBackendSettings(base_url=address, threads=4, gpu_layers=0)
    usual.keep_alive.FromSeconds(30)
    async with models(cfg.ModelSettings(usual_ollama=usual), folder, clock) as stub:
        yield stub


async def test_m062_an_ollama_that_listens_answers_and_is_named(tmp_path: Path) -> None:
    """Nothing is configured: the first of its models that answers is the default."""
    endpoint = OllamaEndpoint(models=("all-minilm", MODEL), embedders=("all-minilm",))
    async with (
        ollama_endpoint(endpoint),
        finding(endpoint.address, tmp_path, FakeClock()) as stub,
    ):
        answer = await stub.Chat(request(ANYBODY))
        listed = await stub.ListModels(pb.ListModelsRequest())
        ((_, asked),) = [one for one in endpoint.asked if one[0] == "/api/chat"]
    assert answer.answerer == chat.Answerer(backend="ollama", model=MODEL, is_generative=True)
    assert [one.name for one in listed.models] == [
        "default",
        "extractive/quotes",
        f"ollama/{MODEL}",
    ]
    # Not more than the machine has cores.
    assert asked["options"]["num_thread"] == min(4, os.cpu_count() or 1)
    assert asked["options"]["num_gpu"] == 0
    assert asked["keep_alive"] == "30s"


async def test_nobody_misses_one_that_is_not_there(tmp_path: Path) -> None:
    """Quotes answer, and stand in for nobody; asked by name, it is told that it is away."""
    (port,) = free_ports(1)
    async with finding(f"http://127.0.0.1:{port}", tmp_path, FakeClock()) as stub:
        model = await stub.GetModel(pb.GetModelRequest())
        (ollama, _quotes) = (await stub.ListBackends(pb.ListBackendsRequest())).backends
    assert list(model.model.answerers) == ["extractive/quotes"]
    assert (ollama.name, ollama.state) == ("ollama", nouns.BACKEND_STATE_UNREACHABLE)


async def test_it_is_found_when_it_is_started(tmp_path: Path) -> None:
    """By who asks then, however often it was missed before; for a moment nobody looks again."""
    clock, endpoint = FakeClock(), OllamaEndpoint()
    (port,) = free_ports(1)
    async with finding(f"http://127.0.0.1:{port}", tmp_path, clock) as stub:
        for _ in range(5):
            await stub.GetModel(pb.GetModelRequest())
            await clock.advance(3.0)
        async with ollama_endpoint(endpoint, port):
            found = await stub.GetModel(pb.GetModelRequest())
    assert list(found.model.answerers) == [f"ollama/{MODEL}", "extractive/quotes"]


async def test_it_is_asked_once_for_many_who_ask(tmp_path: Path) -> None:
    """What it has is known for a while."""
    async with (
        ollama_endpoint() as endpoint,
        finding(endpoint.address, tmp_path, FakeClock()) as stub,
    ):
        for _ in range(4):
            await stub.Chat(request(ANYBODY))
        assert [path for path, _ in endpoint.asked].count("/api/tags") == 1


async def test_one_without_the_model_says_how_to_get_it(tmp_path: Path) -> None:
    """It is not pulled behind anybody's back."""
    async with (
        ollama_endpoint() as endpoint,
        finding(endpoint.address, tmp_path, FakeClock()) as stub,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request("ollama/llama3.2"))
    failure = failure_of(caught.value)
    assert failure.reason == "MODEL_UNKNOWN"
    assert "ollama pull llama3.2" in failure.message
