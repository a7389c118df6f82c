"""One store as the federation asks it, and such as are opened here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.core.lock import InUse
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.storage.vectors.protocol import (
    Collection,
    CollectionMissing,
    Hit,
    Query,
    SpaceMismatch,
    VectorStore,
)
from tandemkit.storage.vectors.stores import DsnUnreadable

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.25, 30.0
Opening = Callable[[], AbstractAsyncContextManager[VectorStore]]
_LOGGER: Final = logging.getLogger("services.memory")


class OtherSpace(Failure):
    """The store's collection holds vectors of another space."""


class Source(Protocol):
    """Raises CollectionMissing, OtherSpace, ValueError, Unreachable, Refused, Damaged."""

    kind: str
    instance: str

    async def search(self, collection: str, query: Query) -> tuple[Hit, ...]:
        """`collection` is its full name, `namespaces/{namespace}/collections/{id}`."""


class OwnSource:
    """A store that is opened here, again and again until that succeeds: one that is away keeps
    nobody from starting.
    """

    instance = ""

    def __init__(self, kind: str, opening: Opening, clock: Clock) -> None:
        self.kind, self._opening, self._clock = kind, opening, clock
        self._store: VectorStore | None = None
        self._cause = ""
        # Whether it was opened once, or could not be.
        self._settled = asyncio.Event()
        self._open: dict[str, Collection] = {}

    async def run(self) -> None:
        """Holds it open, until cancelled."""
        pause_s = _PAUSE_S_MIN
        while True:
            try:
                await self._hold(self._opening())
            except (Unreachable, Refused, InUse, Damaged, DsnUnreadable) as error:
                self._cause = str(error)
                self._settled.set()
                log.event(_LOGGER, logging.WARNING, "federation.store_closed", kind=self.kind)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    async def search(self, collection: str, query: Query) -> tuple[Hit, ...]:
        await self._settled.wait()
        if self._store is None:
            raise Unreachable("it is not open", cause=self._cause)
        name = _kept_as(collection)
        found = self._open.get(name)
        if found is None:
            found = self._open[name] = await self._store.open(name)
        try:
            return await found.search(query)
        except CollectionMissing:
            # It was dropped, and may be there again. Others may have learned it at the same time.
            self._open.pop(name, None)
            raise
        except SpaceMismatch as error:
            raise OtherSpace(error.message, **error.metadata) from error

    async def _hold(self, opening: AbstractAsyncContextManager[VectorStore]) -> None:
        async with opening as store:
            self._store = store
            self._settled.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._store = None
                self._open.clear()


def _kept_as(collection: str) -> str:
    """As VectorStoreService keeps it: `namespace.id`."""
    _, namespace, _, one = collection.split("/")
    return f"{namespace}.{one}"
