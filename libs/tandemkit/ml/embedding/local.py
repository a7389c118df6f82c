"""A BERT on this machine's CPU. It is loaded at the first call and computes in threads of its own,
one for each lane; that of BULK gets what others leave of the CPU.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tandemkit.ml.embedding.places import DIMENSION, FILES, TOKENS_MAX, WEIGHTS_SHA256
from tandemkit.ml.embedding.protocol import Embedded, Lane, ModelMissing, Purpose, Space

if TYPE_CHECKING:
    from tandemkit.ml.embedding.loaded import Checked, Loaded

_NICENESS = 10
_VERSION_CHARS = 12
# glibc's name for it, its own default, and what one pass of a model uses.
_TRIM_THRESHOLD = -1
_FREE_BYTES_USUAL, _FREE_BYTES_LOADED = 128 * 1024, 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Where a model lies. Without `sha256` its weights may be any, and its space is known when they
    have been read.
    """

    name: str
    folder: Path
    sha256: str = WEIGHTS_SHA256

    @property
    def space(self) -> Space:
        dimension = DIMENSION if self.sha256 == WEIGHTS_SHA256 else 0
        return Space(self.name, self.sha256[:_VERSION_CHARS], dimension)


class LocalEmbedder:
    """`tandemkit.ml.embedding.protocol.Embedder`, from `local_embedder`."""

    batch_max = 32
    at_once = 1
    tokens_max = TOKENS_MAX

    def __init__(self, model: LocalModel, lanes: Mapping[Lane, Executor]) -> None:
        self.model, self.space = model, model.space
        self._lanes = lanes
        self._loaded: Loaded | None = None
        # The weights whose sum was right, so that it is taken once.
        self._known: Checked | None = None
        self._loading = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._loaded is not None

    def phrased(self, text: str, _purpose: Purpose) -> str:
        return text

    async def embed(self, texts: Sequence[str], lane: Lane = Lane.PROMPT) -> list[Embedded]:
        return await asyncio.get_running_loop().run_in_executor(
            self._lanes[lane], self._embedded, tuple(texts)
        )

    async def check(self) -> None:
        if self._loaded is None:
            _check_files(self.model.folder)

    async def unload(self) -> None:
        """A batch that is being computed keeps what it has until it is done."""
        await asyncio.to_thread(self._unload)

    def _embedded(self, texts: Sequence[str]) -> list[Embedded]:
        return self._load().embedded(texts)

    def _unload(self) -> None:
        with self._loading:
            if self._loaded is not None:
                _keep_free(_FREE_BYTES_USUAL)
                self._loaded = None
                gc.collect()

    def _load(self) -> Loaded:
        with self._loading:
            if self._loaded is None:
                _check_files(self.model.folder)
                # Numpy and the tokenizer are 40 MB that no host pays before somebody embeds.
                from tandemkit.ml.embedding.loaded import load

                _keep_free(_FREE_BYTES_LOADED)
                found = load(self.model.folder, self.model.sha256, self._known)
                self._known = found.weights
                sha256 = found.weights.sha256
                self.space = Space(self.model.name, sha256[:_VERSION_CHARS], found.dimension)
                self._loaded = found
            return self._loaded


@asynccontextmanager
async def local_embedder(model: LocalModel) -> AsyncIterator[LocalEmbedder]:
    """Leaving it waits for the batch in hand."""
    with (
        ThreadPoolExecutor(1, "embed") as prompt,
        ThreadPoolExecutor(1, "embed-bulk", _step_back) as bulk,
    ):
        yield LocalEmbedder(model, {Lane.PROMPT: prompt, Lane.BULK: bulk})


def _check_files(folder: Path) -> None:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        message = "the embedding model is not on this machine: `./tandem setup model` fetches it"
        raise ModelMissing(message, folder=folder, missing=", ".join(missing))


def _step_back() -> None:
    """Linux counts niceness by thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _keep_free(size: int) -> None:
    """How much of what is freed glibc keeps in each of its pools. It learns by itself to keep more,
    which is quicker by a tenth; but a pool that no model uses would keep it for good.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, size)
