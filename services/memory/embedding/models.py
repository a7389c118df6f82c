"""The models that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandemkit.ml.embedding import places
from tandemkit.ml.embedding.hashing import DIMENSION, HashingEmbedder
from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.protocol import Embedder

_OWN: Final = cfg.EmbeddingModelSettings(name=places.MODEL, local=cfg.LocalBackend())


@dataclass(frozen=True, slots=True)
class Model:
    """One of them, under the name that calls know it by."""

    name: str
    backend: nouns.EmbeddingBackend.ValueType
    embedder: Embedder


@asynccontextmanager
async def models(settings: cfg.EmbeddingSettings, cache: Path) -> AsyncIterator[dict[str, Model]]:
    """By name; the first is the default. `cache` is where the model lies that Tandem comes with."""
    async with AsyncExitStack() as stack:
        found: dict[str, Model] = {}
        for said in settings.models or (_OWN,):
            backend = nouns.EmbeddingBackend.Value(f"EMBEDDING_BACKEND_{_word(said)}")
            embedder = await stack.enter_async_context(_embedder(said, cache))
            found[said.name] = Model(said.name, backend, embedder)
        yield found


def _word(said: cfg.EmbeddingModelSettings) -> str:
    return (said.WhichOneof("backend") or "").upper()


def _embedder(
    said: cfg.EmbeddingModelSettings, cache: Path
) -> AbstractAsyncContextManager[Embedder]:
    if said.HasField("local"):
        return local_embedder(_local(said.name, said.local, cache))
    return nullcontext(HashingEmbedder(said.name, said.hashing.dimension or DIMENSION))


def _local(name: str, said: cfg.LocalBackend, cache: Path) -> LocalModel:
    if not said.folder:
        return LocalModel(name, places.model_folder(cache), said.sha256 or places.WEIGHTS_SHA256)
    return LocalModel(name, Path(said.folder), said.sha256)
