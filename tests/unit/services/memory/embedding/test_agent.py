"""Texts as vectors, through a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.memory.embedding.agent import AGENT
from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandemkit.rpc.callers import HEADER
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of

CODE = grpc.StatusCode
Stub: TypeAlias = "rpc.EmbeddingServiceAsyncStub"
HASHING = cfg.EmbeddingModelSettings(name="words", hashing=cfg.HashingBackend(dimension=64))


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    settings = cfg.EmbeddingSettings(models=[HASHING])
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        yield rpc.EmbeddingServiceStub(channel)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def test_each_text_has_a_vector_of_its_own_in_order(stub: Stub) -> None:
    """With the space that they belong to, and how much of each counts."""
    texts = ["a cat", "the dog of the house", "a cat"]
    found = await stub.EmbedTexts(pb.EmbedTextsRequest(texts=texts))
    assert (found.space.model, found.space.dimension) == ("words", 64)
    assert [len(one.values) for one in found.embeddings] == [64] * 3
    assert found.embeddings[0] == found.embeddings[2] != found.embeddings[1]
    assert list(found.tokens) == [2, 5, 2]
    assert not any(found.is_truncated)


async def test_vectors_of_another_space_are_refused(stub: Stub) -> None:
    """The answer names both, and the right one is let through."""
    space = (await stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a"]))).space
    await stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a"], space=space))
    other = nouns.EmbeddingSpace(model="words", version=space.version, dimension=65)
    failed = await refusal(stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a"], space=other)))
    assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "SPACE_MISMATCH")
    assert failed.metadata["wanted"].endswith(" 65")
    assert failed.metadata["ours"].endswith(" 64")


async def test_what_stays_on_the_machine_is_not_for_every_caller(stub: Stub) -> None:
    """Nobody deletes it; all else is embedded for whoever is let in."""
    ada, memory = (((HEADER, one),) for one in ("callers/ada", "agents/memory-knowledge-base"))
    kept = pb.EmbedTextsRequest(texts=["a"], keep=pb.EMBEDDING_KEEP_MACHINE)
    failed = await refusal(stub.EmbedTexts(kept, metadata=ada))
    assert (failed.code, failed.reason) == (CODE.PERMISSION_DENIED, "NAMESPACE_FORBIDDEN")
    assert (await stub.EmbedTexts(kept, metadata=memory)).embeddings
    assert (await stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a"]), metadata=ada)).embeddings


@pytest.mark.parametrize("texts", [[], [""], ["a", " \n"], ["a"] * 257, ["a" * 65537]])
async def test_what_cannot_be_embedded_is_refused(stub: Stub, texts: list[str]) -> None:
    """Nothing, blanks, too many and too long."""
    failed = await refusal(stub.EmbedTexts(pb.EmbedTextsRequest(texts=texts)))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_model_that_is_not_there_is_told_with_those_that_are(stub: Stub) -> None:
    """In an answer that is none of a text's."""
    failed = await refusal(stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a"], model="big")))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "MODEL_UNKNOWN")
    assert failed.metadata == {"model": "big", "there": "words"}


async def test_the_models_are_listed(stub: Stub) -> None:
    """A hashing one is named as what it is."""
    (model,) = (await stub.ListEmbeddingModels(pb.ListEmbeddingModelsRequest())).models
    assert (model.backend, model.is_default) == (nouns.EMBEDDING_BACKEND_HASHING, True)
    assert model.space.dimension == 64
