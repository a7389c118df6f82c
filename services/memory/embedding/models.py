"""The models that the settings name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandemkit.ml.embedding.hashing import DIMENSION, HashingEmbedder
from tandemkit.ml.embedding.protocol import Embedder

BACKENDS: Final[Mapping[str, nouns.EmbeddingBackend.ValueType]] = {
    "hashing": nouns.EMBEDDING_BACKEND_HASHING,
}


@dataclass(frozen=True, slots=True)
class Model:
    """One of them, under the name that calls know it by."""

    name: str
    backend: nouns.EmbeddingBackend.ValueType
    embedder: Embedder


def models(settings: cfg.EmbeddingSettings) -> Iterator[Model]:
    """The default comes first."""
    for said in settings.models:
        backend = said.WhichOneof("backend") or ""
        yield Model(said.name, BACKENDS[backend], _embedder(said))


def _embedder(said: cfg.EmbeddingModelSettings) -> Embedder:
    return HashingEmbedder(said.name, said.hashing.dimension or DIMENSION)
