"""Long-lived tasks with an owner: none outlives it, and none dies unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Self


class Tasks:
    """A scope for tasks that run until their owner leaves it.

    A task that fails ends the owner: it is cancelled, and the scope's exit raises an ExceptionGroup
    with the cause. Leaving the scope cancels what still runs and waits for it.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._context = copy_context()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    def spawn(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Starts `work` under `name`, which shows in stack dumps. It is the owner's, so nothing of
        the call that asked for it, its deadline least of all, goes on in it.
        """
        task = self._group.create_task(work, name=name, context=self._context.copy())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def end(self) -> None:
        """Cancels what runs now and waits for it: for an owner that first closes what it uses."""
        ended = tuple(self._running)
        for task in ended:
            task.cancel()
        # A failure on the way is the group's to tell.
        await asyncio.gather(*ended, return_exceptions=True)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in tuple(self._running):
            task.cancel()
        if isinstance(error, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, traceback)
        else:
            # The group would wrap the owner's own error; it is no task's, so it goes on as it is.
            await self._group.__aexit__(None, None, None)


async def failure_of(work: Awaitable[object]) -> Exception | None:
    """What `work` raised, as a value: for probes, whose failure is an answer and not a defect."""
    try:
        await work
    except Exception as error:
        return error
    return None
