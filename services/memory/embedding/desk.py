"""One model and who asks it: what was computed is not computed again, and what is not used leaves
memory.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.memory.embedding.batching import Batching
from services.memory.embedding.keeping import Recent, Shelf, digest
from tandemkit.core.clock import Clock
from tandemkit.ml.embedding.protocol import Embedded, Embedder, Lane


class Keep(enum.Enum):
    """Where a vector is kept."""

    NEVER = enum.auto()
    PROCESS = enum.auto()
    MACHINE = enum.auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    cache_bytes: int
    waiting: int
    idle_s: float


class Desk:
    def __init__(self, embedder: Embedder, bounds: Bounds, shelf: Shelf, clock: Clock) -> None:
        self.embedder = embedder
        self._shelf, self._clock = shelf, clock
        self._recent = Recent(bounds.cache_bytes)
        self._idle_s, self._used_s = bounds.idle_s, clock.monotonic_s()
        self._used = asyncio.Event()
        self._batching = Batching(embedder, bounds.waiting, self._keep)
        self.run = self._batching.run

    async def embed(self, texts: Sequence[str], lane: Lane, keep: Keep) -> list[Embedded]:
        """One for each, in their order. Raises Full, and what the embedder raises."""
        keys = {text: digest(text) for text in texts}
        with self._using():
            found = {} if keep is Keep.NEVER else self._remembered(keys.values())
            if keep is Keep.MACHINE and len(found) < len(keys):
                found |= await self._shelved([key for key in keys.values() if key not in found])
            missing = [text for text, key in keys.items() if key not in found]
            if missing:
                computed = await self._batching.embed(missing, lane, is_kept=keep is not Keep.NEVER)
                new = dict(zip((keys[text] for text in missing), computed, strict=True))
                if keep is Keep.MACHINE:
                    await self._shelf.put(self.embedder.space, new.items())
                found |= new
        return [found[keys[text]] for text in texts]

    async def rest(self) -> None:
        """Unloads the model whenever nobody has used it for long enough, until cancelled."""
        while True:
            await self._used.wait()
            left_s = self._used_s + self._idle_s - self._clock.monotonic_s()
            if left_s > 0 or self.waiting:
                await self._clock.sleep(max(left_s, 1.0))
                continue
            self._used.clear()
            self._recent.clear()
            await self.embedder.unload()

    @property
    def waiting(self) -> int:
        """Texts that are computed, or wait to be."""
        return self._batching.waiting

    def _remembered(self, keys: Iterable[bytes]) -> dict[bytes, Embedded]:
        looked = ((key, self._recent.find(key)) for key in keys)
        return {key: one for key, one in looked if one is not None}

    async def _shelved(self, keys: Sequence[bytes]) -> dict[bytes, Embedded]:
        found = dict(await self._shelf.find(self.embedder.space, keys))
        for key, one in found.items():
            self._recent.put(key, one)
        return found

    def _keep(self, text: str, embedded: Embedded) -> None:
        self._recent.put(digest(text), embedded)

    @contextmanager
    def _using(self) -> Iterator[None]:
        self._used.set()
        try:
            yield
        finally:
            self._used_s = self._clock.monotonic_s()
