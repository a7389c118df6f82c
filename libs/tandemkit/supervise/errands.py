"""Short tasks that tell their own outcome to whoever waits for it: none can fail another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")


class Errands:
    """Keeps what runs alive and within reach until it is over."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(
        self, work: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        """Runs `work`, in `context` if given; it begins when the loop turns, never at once."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finished(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """What `work` answers or raises; it goes on where whoever waits is cancelled."""
        found: list[Outcome] = []

        async def run() -> None:
            found.append(await work)

        await asyncio.shield(self.start(run()))
        return found[0]

    async def end(self, grace_s: float) -> None:
        """Waits up to `grace_s` for what runs, cancels the rest, and waits until that is over; also
        whoever is cancelled meanwhile leaves nothing running.
        """
        running = self._running - {asyncio.current_task()}
        if running:
            late = running
            try:
                if grace_s > 0:
                    _, late = await asyncio.wait(running, timeout=grace_s)
            finally:
                for task in late:
                    task.cancel()
            if late:
                await asyncio.wait(late)
