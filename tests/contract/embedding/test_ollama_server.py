"""Embeddings of a real Ollama, held to the suite, with the model that Tandem comes with: the same
weights, run by others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandemkit.core.clock import SystemClock
from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.places import FILES, MODEL
from tandemkit.ml.embedding.protocol import Embedder
from tandemkit.ml.embedding.remote import OllamaApi, RemoteModel, remote_embedder
from tandemkit.ml.servers.server import Server
from tandemkit.testing.minilm_gguf import write_minilm
from tandemkit.testing.parts import demand
from tandemkit.testing.parts_language import OllamaServer, ollama_server
from tests.contract.embedding.suite import TEXTS, EmbedderSuite, cosine

pytestmark = [pytest.mark.real("minilm"), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OllamaServer]:
    folder = demand("minilm")[FILES[0]].parent
    file = tmp_path_factory.mktemp("model") / "minilm.gguf"
    async with ollama_server() as server:
        await server.add("minilm", write_minilm(file, folder))
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def embedder(server: OllamaServer) -> AsyncIterator[Embedder]:
    where = Server(server.url, 60.0)
    model = RemoteModel("ours", "minilm", 64)
    async with remote_embedder(model, OllamaApi(), where, SystemClock()) as embedder:
        yield embedder


class TestRealOllama(EmbedderSuite):
    async def test_its_vectors_are_those_of_our_own_arithmetic(self, embedder: Embedder) -> None:
        """Of the same weights: two implementations that know nothing of each other."""
        folder = demand("minilm")[FILES[0]].parent
        async with local_embedder(LocalModel(MODEL, folder)) as ours:
            wanted = await ours.embed(TEXTS)
        for one, same in zip(await embedder.embed(TEXTS), wanted, strict=True):
            assert cosine(one, same) > 0.9999
