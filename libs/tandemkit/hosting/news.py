"""Word that something changed, for everybody who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class News:
    """Says that there is some, never what: who hears it looks for himself. So nothing is queued for
    a listener that is slow, and none misses the last word.
    """

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def set(self) -> None:
        for one in self._listeners:
            one.set()

    @contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """An event of the listener's own, which it clears before it looks."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)
