"""State from events: the same events give the same state, wherever one begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tandemkit.storage.events.protocol import (
    PAGE_EVENTS_MAX,
    Event,
    EventStore,
    Snapshot,
    is_full,
)

State = TypeVar("State")


async def replay(
    store: EventStore,
    stream: str,
    start: Callable[[Snapshot | None], State],
    step: Callable[[State, Event], State],
) -> tuple[State, int]:
    """What the stream comes to, and the version up to which: `start` makes the state that a
    snapshot holds, or the very first one, and `step` the next one. Neither may look elsewhere.
    """
    known = await store.snapshot(stream)
    state, version = start(known), known.version if known else 0
    while True:
        page = await store.read(stream, version)
        for event in page:
            state, version = step(state, event), event.version
        if not is_full(page, PAGE_EVENTS_MAX):
            return state, version
