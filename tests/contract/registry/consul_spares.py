"""Servers for tests that kill theirs: a Consul on its own takes 2 s to elect itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import demand
from tandemkit.testing.parts_consul import DurableConsul, durable_consul


class Spares:
    """While one is in use the next one starts."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[tuple[DurableConsul, asyncio.Event]] = asyncio.Queue()

    async def provide(self) -> None:
        """One server after the other, each until it was used."""
        while True:
            async with durable_consul() as server:
                used = asyncio.Event()
                await self._ready.put((server, used))
                await used.wait()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[DurableConsul]:
        """Empty, and nobody else's."""
        server, used = await self._ready.get()
        try:
            yield server
        finally:
            used.set()


@asynccontextmanager
async def spare_consuls() -> AsyncIterator[Spares]:
    """Skips where Consul is absent."""
    demand("consul")
    spares = Spares()
    async with Tasks() as tasks:
        for name in ("in use", "next"):
            tasks.spawn(name, spares.provide())
        yield spares
