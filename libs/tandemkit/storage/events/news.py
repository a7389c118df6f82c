"""Wakes those who follow a store whenever there may be something new in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.protocol import PAGE_EVENTS_MAX, Event, EventStore, is_full


class News:
    def __init__(self) -> None:
        self._watchers: set[asyncio.Event] = set()
        self._lost = False

    def arrived(self) -> None:
        """There may be something; to say so once too often is harmless."""
        self._lost = False
        self._wake()

    def lost(self) -> None:
        """Nobody will say so any more: followers have to begin again."""
        self._lost = True
        self._wake()

    async def follow(
        self, store: EventStore, after: int, prefix: str
    ) -> AsyncGenerator[Event, None]:
        with self._watching() as changed:
            while True:
                changed.clear()
                if self._lost:
                    raise Unreachable("the event store is away")
                # Up to here nothing is of interest any more, once the page behind it is read.
                seen = (await store.head()).position if prefix else 0
                page = await store.read_all(after, prefix, PAGE_EVENTS_MAX)
                for event in page:
                    yield event
                    after = event.position
                if not is_full(page, PAGE_EVENTS_MAX):
                    after = max(after, seen)
                    await changed.wait()

    @contextmanager
    def _watching(self) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()
