"""An embedder that computes when it is let, and fails when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tandemkit.core.errors import Failure
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.ml.embedding.protocol import Embedded, Lane, TextRefused

# A text that no server takes.
POISON = "poison"


class GatedEmbedder(HashingEmbedder):
    batch_max = 8

    def __init__(self) -> None:
        super().__init__("words", 16)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[tuple[Lane, tuple[str, ...]]] = []
        self.failure: Failure | None = None
        self.unloaded = 0

    async def embed(self, texts: Sequence[str], lane: Lane = Lane.PROMPT) -> list[Embedded]:
        self.batches.append((lane, tuple(texts)))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if POISON in texts:
            raise TextRefused("the text is too long")
        return await super().embed(texts, lane)

    async def unload(self) -> None:
        self.unloaded += 1
