"""Streams without an end of their own."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.http.denied import Denied
from services.gateway.http.watches import Watches
from tandemkit.supervise.errands import Errands


async def _read(watches: Watches, begun: asyncio.Event) -> None:
    """As the front does."""
    try:
        with watches.watch():
            begun.set()
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if (said := watches.ended()) is not None:
            raise said from None
        raise


async def test_the_end_tells_readers_why_and_to_come_again() -> None:
    """They are answered, not cut."""
    watches, begun = Watches(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_outcome(watches, begun))
        await begun.wait()
        watches.end()
    said = reading.result()
    assert (said.code, said.reason) == ("UNAVAILABLE", "DRAINING")
    assert said.retry_after_s


async def test_who_is_cancelled_by_somebody_else_ends() -> None:
    """It is not told of an end that did not come."""
    watches, begun = Watches(), asyncio.Event()
    reading = Errands().start(_read(watches, begun))
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    watches.end()


async def _outcome(watches: Watches, begun: asyncio.Event) -> Denied:
    with pytest.raises(Denied) as caught:
        await _read(watches, begun)
    return caught.value
