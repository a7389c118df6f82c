"""Catalogue row M060, its embedding half: a model at a server, through a real server of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.memory.embedding.agent import AGENT
from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandemkit.core import redaction
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.rpc.priority import Priority
from tandemkit.secrecy import files
from tandemkit.testing.embedding_servers import MODEL, Answer, EmbeddingServer, embedding_server
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.parts import short_folder

CODE = grpc.StatusCode
Stub: TypeAlias = "rpc.EmbeddingServiceAsyncStub"
KEY = "sk-some-key-of-a-test"
AWAY = Answer(503, {"error": {"message": "overloaded"}}, {"Retry-After": "0"})


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


@asynccontextmanager
async def asking(server: EmbeddingServer, folder: Path, key: str = KEY) -> AsyncIterator[Stub]:
    """An agent that has two models there, the one of OpenAI's API with a key."""
    secrets = folder / "secrets"
    secrets.mkdir()
    files.write(secrets / "some_key", key)
    openai = cfg.OpenaiBackend(
        base_url=f"{server.address}/v1/", model=MODEL, key_secret="some_key", batch_max=8
    )
    ollama = cfg.OllamaBackend(base_url=server.address, query_prefix="query: ")
    settings = cfg.EmbeddingSettings(
        models=[
            cfg.EmbeddingModelSettings(name="ours", openai=openai),
            cfg.EmbeddingModelSettings(name=MODEL, ollama=ollama),
        ]
    )
    placed = Placed(AGENT, settings, needed=Needed(required=("some_key",)))
    with short_folder() as short:
        address = f"unix:{short}/agent.sock"
        place = Place(address, folder / "state", SystemClock(), 0.0, secrets=secrets)
        async with (
            hosting((placed,), place),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield rpc.EmbeddingServiceStub(channel)


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with embedding_server(key=KEY) as server:
        yield server


@pytest.fixture
async def stub(server: EmbeddingServer, tmp_path: Path) -> AsyncIterator[Stub]:
    async with asking(server, tmp_path) as stub:
        yield stub


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def wanted(*texts: str, space: nouns.EmbeddingSpace | None = None) -> pb.EmbedTextsRequest:
    return pb.EmbedTextsRequest(texts=texts, space=space)


async def test_m060_twelve_and_more_requests_at_once_are_served(
    stub: Stub, server: EmbeddingServer
) -> None:
    """Each with its own vectors, in fewer requests of the server."""
    texts = [f"text {number}" for number in range(40)]
    urgent = (Priority.INTERACTIVE.header,)
    found = await asyncio.gather(
        *(stub.EmbedTexts(wanted(text), metadata=urgent) for text in texts)
    )
    whole = await stub.EmbedTexts(wanted(*texts))
    assert [one.embeddings[0] for one in found] == list(whole.embeddings)
    assert len(server.asked) < len(texts)
    assert set(server.shown) == {f"Bearer {KEY}"}


async def test_m060_a_failing_backend_is_retried_then_fails_cleanly(
    stub: Stub, server: EmbeddingServer
) -> None:
    """A failure that passes is nobody's; one that stays says what, and when to come again; and when
    the backend is back, so are we.
    """
    server.instead.extend([AWAY, AWAY])
    assert (await stub.EmbedTexts(wanted("a"))).embeddings
    server.instead.extend([AWAY] * 3)
    failed = await refusal(stub.EmbedTexts(wanted("b")))
    assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "EMBEDDER_UNREACHABLE")
    assert failed.retry_after_s == pytest.approx(2.0)
    assert (failed.metadata["said"], failed.metadata["attempts"]) == ("overloaded", "3")
    assert (await stub.EmbedTexts(wanted("b"))).embeddings


async def test_m060_a_key_that_is_denied_is_no_outage(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    """Nobody comes again with it: FAILED_PRECONDITION, and the key in no word of it."""
    async with asking(server, tmp_path, "sk-not-the-right-one") as stub:
        failed = await refusal(stub.EmbedTexts(wanted("a")))
    assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "EMBEDDER_REFUSED")
    assert "sk-not" not in str(failed)
    assert len(server.asked) == 1


async def test_a_servers_space_is_known_from_its_first_answer(
    stub: Stub, server: EmbeddingServer
) -> None:
    """And a call that wants another one is refused, then before anything is computed."""
    space = nouns.EmbeddingSpace(model="ours", dimension=32)
    failed = await refusal(stub.EmbedTexts(wanted("a", space=space)))
    assert (failed.reason, failed.metadata["ours"]) == ("SPACE_MISMATCH", "ours - 64")
    assert (await refusal(stub.EmbedTexts(wanted("b", space=space)))).reason == "SPACE_MISMATCH"
    assert len(server.asked) == 1
    listed = (await stub.ListEmbeddingModels(pb.ListEmbeddingModelsRequest())).models
    assert [one.space.dimension for one in listed] == [64, 0]


async def test_a_question_is_phrased_as_the_model_wants_it(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    """By the purpose of the call; each phrase is a text of its own."""
    server.key = ""
    async with asking(server, tmp_path) as stub:
        for purpose in (pb.EMBEDDING_PURPOSE_QUERY, pb.EMBEDDING_PURPOSE_PASSAGE):
            await stub.EmbedTexts(pb.EmbedTextsRequest(texts=["who"], model=MODEL, purpose=purpose))
    assert [one["input"] for one in server.asked] == [["query: who"], ["who"]]
