"""The models that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.memory.embedding.desk import Bounds, Desk
from services.memory.embedding.keeping import Shelf
from tandem.memory.config.v1 import embedding_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandemkit.hosting.entrusted import FollowedSecret
from tandemkit.hosting.scope import Scope
from tandemkit.ml.embedding import places
from tandemkit.ml.embedding.hashing import DIMENSION, HashingEmbedder
from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.protocol import Embedder, Lane, Purpose
from tandemkit.ml.embedding.remote import (
    Api,
    OllamaApi,
    OpenaiApi,
    RemoteModel,
    remote_embedder,
)
from tandemkit.ml.servers.server import Server

_CACHE_BYTES: Final = 16 * 1024 * 1024
_WAITING: Final = 4096
_IDLE_S: Final = 300.0
_REMOTE_BATCH: Final = 64
_WITHIN_S: Final = 20.0
_OWN: Final = cfg.EmbeddingModelSettings(name=places.MODEL, local=cfg.LocalBackend())


@dataclass(frozen=True, slots=True)
class Model:
    """One of them, under the name that calls know it by."""

    name: str
    backend: nouns.EmbeddingBackend.ValueType
    desk: Desk


@asynccontextmanager
async def models(
    settings: cfg.EmbeddingSettings, scope: Scope, cache: Path
) -> AsyncIterator[dict[str, Model]]:
    """By name; the first is the default. `cache` is the user's, where the model lies that Tandem
    comes with.
    """
    bounds = _bounds(settings)
    shelf = Shelf(cache / "embeddings.sqlite")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(shelf.close)
        found: dict[str, Model] = {}
        for said in settings.models or (_OWN,):
            backend = nouns.EmbeddingBackend.Value(f"EMBEDDING_BACKEND_{_word(said)}")
            embedder = await stack.enter_async_context(_embedder(said, scope, cache))
            desk = Desk(embedder, bounds, shelf, scope.clock)
            for lane in (*Lane,) * embedder.at_once:
                scope.spawn(f"{said.name}:{lane.name.lower()}", desk.run(lane))
            scope.spawn(f"{said.name}:rest", desk.rest())
            found[said.name] = Model(said.name, backend, desk)
        yield found


def _bounds(settings: cfg.EmbeddingSettings) -> Bounds:
    idle_s = settings.unload_after.ToTimedelta().total_seconds()
    return Bounds(
        cache_bytes=settings.cache_bytes_max or _CACHE_BYTES,
        waiting=settings.waiting_max or _WAITING,
        idle_s=idle_s or _IDLE_S,
    )


def _word(said: cfg.EmbeddingModelSettings) -> str:
    return (said.WhichOneof("backend") or "").upper()


def _embedder(
    said: cfg.EmbeddingModelSettings, scope: Scope, cache: Path
) -> AbstractAsyncContextManager[Embedder]:
    if said.HasField("local"):
        return local_embedder(_local(said.name, said.local, cache))
    if said.HasField("openai"):
        api, key = OpenaiApi(said.openai.dimension), said.openai.key_secret
        return _remote(said.name, said.openai, api, scope, scope.secret(key) if key else None)
    if said.HasField("ollama"):
        return _remote(said.name, said.ollama, OllamaApi(), scope, None)
    return nullcontext(HashingEmbedder(said.name, said.hashing.dimension or DIMENSION))


def _local(name: str, said: cfg.LocalBackend, cache: Path) -> LocalModel:
    if not said.folder:
        return LocalModel(name, places.model_folder(cache), said.sha256 or places.WEIGHTS_SHA256)
    return LocalModel(name, Path(said.folder), said.sha256)


def _remote(
    name: str,
    said: cfg.OpenaiBackend | cfg.OllamaBackend,
    api: Api,
    scope: Scope,
    key: FollowedSecret | None,
) -> AbstractAsyncContextManager[Embedder]:
    prefixes = {Purpose.QUERY: said.query_prefix, Purpose.PASSAGE: said.passage_prefix}
    model = RemoteModel(name, said.model or name, said.batch_max or _REMOTE_BATCH, prefixes)
    server = Server(
        base_url=said.base_url.rstrip("/"),
        within_s=said.within.ToTimedelta().total_seconds() or _WITHIN_S,
        key=key.reveal if key else None,
    )
    return remote_embedder(model, api, server, scope.clock)
