"""Vectors of the default model, each computed once: they stay in the user's cache."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np

from services.memory.knowledge_base.ports import Embedded
from tandemkit.ml.embedding import protocol
from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.places import MODEL
from tandemkit.storage.vectors.protocol import Space, Values

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (hash BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
_PUT = "INSERT OR REPLACE INTO vectors VALUES (?, ?)"
_GET = "SELECT vector FROM vectors WHERE hash = ?"


class Remembered:
    """`services.memory.knowledge_base.ports.Embedder`."""

    def __init__(self, embedder: protocol.Embedder, database: sqlite3.Connection) -> None:
        self._embedder, self._database = embedder, database

    async def question(self, text: str, time_s: float) -> Embedded:
        return await self._of([text])

    async def passages(self, texts: Sequence[str], *, is_public: bool) -> Embedded:
        return await self._of(texts)

    async def _of(self, texts: Sequence[str]) -> Embedded:
        found = {text: self._kept(text) for text in texts}
        missing = [text for text, vector in found.items() if vector is None]
        if missing:
            made = await self._embedder.embed(missing, protocol.Lane.BULK)
            for text, new in zip(missing, made, strict=True):
                found[text] = np.asarray(new.vector, np.float32)
                self._database.execute(_PUT, (_hash(text), new.vector.tobytes()))
            self._database.commit()
        vectors = tuple(vector for text in texts if (vector := found[text]) is not None)
        space = self._embedder.space
        return Embedded(Space(space.model, space.version, space.dimension), vectors)

    def _kept(self, text: str) -> Values | None:
        row = self._database.execute(_GET, (_hash(text),)).fetchone()
        return np.frombuffer(row[0], np.float32) if row else None


@asynccontextmanager
async def remembered(model_folder: Path, folder: Path) -> AsyncIterator[Remembered]:
    """In this folder. Raises ModelMissing, at the first text that was never embedded."""
    model = LocalModel(MODEL, model_folder)
    path = folder / f"vectors-{model.space.model}-{model.space.version}.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(_SCHEMA)
        async with local_embedder(model) as embedder:
            yield Remembered(embedder, database)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
