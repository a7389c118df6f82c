"""The store of vectors that settings choose, opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.memory.config.v1 import vector_backend_pb2 as cfg
from tandemkit.core.errors import Failure
from tandemkit.storage.vectors.protocol import VectorStore

FILE = "vectors.sqlite"
_CHROMA_URL, _QDRANT_URL = "http://127.0.0.1:8000", "http://127.0.0.1:6333"
# Gives the value of the secret that the settings name, as it is when asked.
Reveal = Callable[[str], Callable[[], str]]


class DsnUnreadable(Failure):
    """The file that says where the database is cannot be read."""


def no_secrets(name: str) -> Callable[[], str]:
    """For who has declared none."""
    raise ValueError(f"no secret is declared under the name {name}")


@asynccontextmanager
async def opened(
    chosen: cfg.VectorBackend, folder: Path, reveal: Reveal = no_secrets
) -> AsyncIterator[VectorStore]:
    """`folder` is the owner's own, for files. Raises Unreachable, Refused, InUse, Damaged,
    DsnUnreadable.
    """
    match chosen.WhichOneof("place"):
        case "faiss":
            async with _files(folder, "faiss", chosen.faiss.memory_bytes_max) as files:
                yield files
        case "chroma":
            async with _chroma(chosen.chroma, reveal) as chroma:
                yield chroma
        case "qdrant":
            async with _qdrant(chosen.qdrant, reveal) as qdrant:
                yield qdrant
        case "postgres":
            async with _postgres(chosen.postgres) as postgres:
                yield postgres
        case _:
            async with _files(folder, "embedded", chosen.files.memory_bytes_max) as files:
                yield files


# numpy comes with a store, and the client of a server is imported by who uses that server.
@asynccontextmanager
async def _files(folder: Path, maker: str, bytes_max: int) -> AsyncIterator[VectorStore]:
    from tandemkit.storage.vectors.files import BYTES_MAX, file_vectors
    from tandemkit.storage.vectors.shelf import Maker

    async with file_vectors(folder / FILE, Maker(maker), bytes_max or BYTES_MAX) as store:
        yield store


@asynccontextmanager
async def _chroma(said: cfg.VectorChroma, reveal: Reveal) -> AsyncIterator[VectorStore]:
    from tandemkit.storage.vectors.chroma import ChromaPlace, chroma_vectors

    place = ChromaPlace(
        said.url or _CHROMA_URL,
        said.tenant or "default_tenant",
        said.database or "default_database",
        reveal(said.token_secret) if said.token_secret else None,
    )
    async with chroma_vectors(place) as store:
        yield store


@asynccontextmanager
async def _qdrant(said: cfg.VectorQdrant, reveal: Reveal) -> AsyncIterator[VectorStore]:
    from tandemkit.storage.vectors.qdrant import QdrantPlace, qdrant_vectors

    key = reveal(said.key_secret) if said.key_secret else None
    async with qdrant_vectors(QdrantPlace(said.url or _QDRANT_URL, key)) as store:
        yield store


@asynccontextmanager
async def _postgres(said: cfg.VectorPostgres) -> AsyncIterator[VectorStore]:
    from tandemkit.storage.vectors.postgres import postgres_vectors

    path = Path(said.dsn_file)
    try:
        dsn = (await asyncio.to_thread(path.read_text, "utf-8")).strip()
    except OSError as error:
        raise DsnUnreadable("its file cannot be read", file=path, cause=error.strerror) from error
    async with postgres_vectors(dsn) as store:
        yield store
