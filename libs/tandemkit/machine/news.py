"""Tells any number of tasks that something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class News:
    """Each change has an event of its own, so nobody misses one while it does something else."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Set at the next change."""
        return self._changed

    async def until(self, met: Callable[[], bool]) -> None:
        """Looks after each change, and before the first."""
        while not met():
            await self._changed.wait()
