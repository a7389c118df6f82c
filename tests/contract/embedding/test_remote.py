"""Models at servers, held to the suite: OpenAI's API and Ollama's, of a scripted server each.
test_ollama_server.py is the same with a real Ollama.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.ml.embedding.protocol import Embedder, Purpose, TextRefused
from tandemkit.ml.embedding.remote import (
    OllamaApi,
    OpenaiApi,
    RemoteEmbedder,
    RemoteModel,
    remote_embedder,
)
from tandemkit.ml.servers.server import KeyDenied, NotThere, Server
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.testing.embedding_servers import (
    MODEL,
    Answer,
    EmbeddingServer,
    embedding_server,
)
from tandemkit.testing.parts import free_ports
from tests.contract.embedding.suite import EmbedderSuite

KEY = "sk-" + "some-key-of-a-test"
BUSY = Answer(503, {"error": {"message": "overloaded"}}, {"Retry-After": "0"})


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with embedding_server(key=KEY) as server:
        yield server


def openai(
    server: EmbeddingServer, key: str = KEY, model: str = MODEL, within_s: float = 5.0
) -> AbstractAsyncContextManager[RemoteEmbedder]:
    prefixes = {Purpose.QUERY: "query: "}
    return remote_embedder(
        RemoteModel("ours", model, 3, prefixes),
        OpenaiApi(dimension=32),
        Server(f"{server.address}/v1", within_s, lambda: key),
        SystemClock(),
    )


def ollama(address: str, model: str) -> AbstractAsyncContextManager[RemoteEmbedder]:
    where = Server(address, 20.0)
    return remote_embedder(RemoteModel("ours", model, 64), OllamaApi(), where, SystemClock())


class TestOpenai(EmbedderSuite):
    @pytest.fixture
    async def embedder(self, server: EmbeddingServer) -> AsyncIterator[Embedder]:
        async with openai(server) as embedder:
            yield embedder

    async def test_the_request_is_as_published(
        self, embedder: Embedder, server: EmbeddingServer
    ) -> None:
        """The key, the model's own name, the wished dimension, and no more texts than may go."""
        await embedder.embed([embedder.phrased("a", Purpose.QUERY), "b", "c", "d"])
        first = {"model": MODEL, "encoding_format": "float", "dimensions": 32}
        assert server.asked == [first | {"input": ["query: a", "b", "c"]}, first | {"input": ["d"]}]
        assert server.shown == [f"Bearer {KEY}"] * 2
        assert (embedder.space.model, embedder.space.dimension) == ("ours", 32)


class TestOllama(EmbedderSuite):
    @pytest.fixture
    async def embedder(self) -> AsyncIterator[Embedder]:
        async with embedding_server() as server, ollama(server.address, MODEL) as embedder:
            yield embedder


async def test_the_version_of_an_ollamas_model_is_its_digest() -> None:
    """So another model by that name is another space, once it was asked again."""
    async with embedding_server() as server, ollama(server.address, MODEL) as embedder:
        await embedder.embed(["a"])
        before = embedder.space
        server.digest = "sha256:ffff"
        await embedder.unload()
        await embedder.embed(["a"])
    assert (before.version, embedder.space.version) == ("0123456789ab", "ffff")


async def test_a_model_that_nobody_pulled_is_refused_with_what_to_do() -> None:
    """Before any text is sent."""
    async with embedding_server() as server, ollama(server.address, "other") as embedder:
        with pytest.raises(Refused, match="ollama pull"):
            await embedder.embed(["a"])
    assert server.asked == []


async def test_what_may_pass_is_tried_again(server: EmbeddingServer) -> None:
    """Twice; the third failure is told, with the server's words and without the key."""
    async with openai(server) as embedder:
        server.instead.extend([BUSY, BUSY])
        assert len(await embedder.embed(["a"])) == 1
        server.instead.extend([BUSY] * 3)
        with pytest.raises(Unreachable) as raised:
            await embedder.embed(["a"])
    assert (raised.value.metadata["said"], raised.value.metadata["attempts"]) == ("overloaded", "3")
    assert KEY not in str(raised.value)


async def test_who_asks_for_a_long_pause_is_not_waited_for(server: EmbeddingServer) -> None:
    """It would be over before: the caller learns it at once."""
    async with openai(server) as embedder:
        server.instead.append(Answer(429, {"error": "slow down"}, {"Retry-After": "3600"}))
        with pytest.raises(Unreachable):
            await embedder.embed(["a"])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, TextRefused, "too long"),
        (401, KeyDenied, "denies the key"),
        (404, NotThere, "no such model"),
        (302, Refused, "refuses the request"),
    ],
)
async def test_what_will_not_pass_is_told_at_once(
    server: EmbeddingServer, status: int, kind: type[Refused], words: str
) -> None:
    """By what is wrong: the text, the key, the model."""
    async with openai(server) as embedder:
        server.instead.append(Answer(status, {"error": {"message": "too long"}}))
        with pytest.raises(Refused) as raised:
            await embedder.embed(["a"])
    assert type(raised.value) is kind
    assert words in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": 5},
        {"data": []},
        {"data": [{"index": 0, "embedding": ["a"]}]},
        {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": [1e400]}]},
    ],
)
async def test_an_answer_that_is_none_is_refused(server: EmbeddingServer, body: object) -> None:
    """No vector is made up for it."""
    async with openai(server) as embedder:
        server.instead.append(Answer(200, body))
        with pytest.raises(Refused):
            await embedder.embed(["a"])


async def test_vectors_of_another_length_are_refused(server: EmbeddingServer) -> None:
    """The server has another model now: what was kept does not compare with it."""
    async with openai(server) as embedder:
        await embedder.embed(["a"])
        server.instead.append(Answer(200, {"data": [{"index": 0, "embedding": [1.0]}]}))
        with pytest.raises(Refused):
            await embedder.embed(["a"])


async def test_nobody_there_is_unreachable() -> None:
    """After its attempts."""
    gone = EmbeddingServer(f"http://127.0.0.1:{free_ports(1)[0]}")
    async with openai(gone) as embedder:
        with pytest.raises(Unreachable):
            await embedder.embed(["a"])


async def test_a_server_that_hangs_is_left_in_time() -> None:
    """However often it could be tried."""

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with openai(EmbeddingServer(f"http://127.0.0.1:{port}"), within_s=0.2) as embedder:
            with pytest.raises(Unreachable) as raised:
                await embedder.embed(["a"])
    assert raised.value.metadata["within_s"] == "0.2"
