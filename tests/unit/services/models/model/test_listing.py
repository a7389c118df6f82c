"""What becomes of requests for no model by name while a backend does not say which it has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.models.model.catalog import EXTRACTIVE, Catalog
from services.models.model.place import NO_END, Place, Terms
from tandem.models.v1 import model_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.ml.generation.protocol import ModelCard, Nature
from tandemkit.ml.generation.quotes import Quoted, QuotesBackend
from tandemkit.testing.clock import FakeClock


class Listing(QuotesBackend):
    """Takes a connection, and lists its models when it is let."""

    nature = Nature(nouns.BACKEND_KIND_OLLAMA, "http://127.0.0.1:1", True, ())

    def __init__(self) -> None:
        super().__init__(_nothing)
        self.let, self.asked, self.left = asyncio.Event(), 0, 0

    async def models(self) -> Sequence[ModelCard]:
        self.asked += 1
        try:
            await self.let.wait()
        finally:
            self.left += not self.let.is_set()
        return (ModelCard("parrot"),)


async def _nothing(_question: str, _namespace: str) -> Quoted:
    return Quoted("", ())


def catalog(backend: Listing, clock: FakeClock, listing_s: float = 0.05) -> Catalog:
    terms = Terms("ollama", patience=NO_END, listing_s=listing_s, is_optional=True)
    quotes = Place(Terms(EXTRACTIVE, models=("quotes",)), QuotesBackend(_nothing), clock)
    return Catalog({"ollama": Place(terms, backend, clock), EXTRACTIVE: quotes}, {})


async def names(found: Catalog) -> list[str]:
    return [seat.name for seat in (await found.chain("")).seats]


async def until_asked(backend: Listing) -> None:
    while not backend.asked:
        await SystemClock().sleep(0)


async def test_a_backend_that_hangs_keeps_nobody_from_the_next() -> None:
    """Quotes answer, and for a moment nobody waits for it; then it is asked again."""
    backend, clock = Listing(), FakeClock()
    found = catalog(backend, clock)
    assert await names(found) == ["extractive/quotes"]
    assert await names(found) == ["extractive/quotes"]
    assert (backend.asked, backend.left) == (1, 1)
    assert "in time" in found.places["ollama"].look().cause
    backend.let.set()
    await clock.advance(3.0)
    assert await names(found) == ["ollama/parrot", "extractive/quotes"]


async def test_who_leaves_takes_the_list_from_nobody() -> None:
    """The backend is asked once, and goes on for those who wait."""
    backend = Listing()
    found = catalog(backend, FakeClock(), listing_s=30.0)
    async with asyncio.TaskGroup() as tasks:
        first, second = (tasks.create_task(names(found)) for _ in range(2))
        await until_asked(backend)
        first.cancel()
        await asyncio.wait({first})
        backend.let.set()
    assert second.result() == ["ollama/parrot", "extractive/quotes"]
    assert (backend.asked, backend.left) == (1, 0)


async def test_nothing_is_asked_any_more_when_the_agent_ends() -> None:
    """Whoever waited is gone by then."""
    backend = Listing()
    found = catalog(backend, FakeClock(), listing_s=30.0)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(names(found))
        await until_asked(backend)
        waiting.cancel()
    await found.places["ollama"].end()
    assert backend.left == 1
