"""The store of vectors that settings choose, opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.memory.config.v1 import vector_backend_pb2 as cfg
from tandemkit.storage.vectors.files import BYTES_MAX, file_vectors
from tandemkit.storage.vectors.protocol import VectorStore
from tandemkit.storage.vectors.shelf import Maker

FILE = "vectors.sqlite"


@asynccontextmanager
async def opened(chosen: cfg.VectorBackend, folder: Path) -> AsyncIterator[VectorStore]:
    """`folder` is the owner's own, for files. Raises Unreachable, InUse, Damaged."""
    if chosen.HasField("faiss"):
        limit = chosen.faiss.memory_bytes_max or BYTES_MAX
        async with file_vectors(folder / FILE, Maker.FAISS, limit) as store:
            yield store
    else:
        limit = chosen.files.memory_bytes_max or BYTES_MAX
        async with file_vectors(folder / FILE, Maker.EMBEDDED, limit) as store:
            yield store
