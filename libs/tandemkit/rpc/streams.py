"""Streams that last as long as their caller wants, of services that are none of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any


class Streams:
    """Those that are open, so that a draining server can end them before its grace is over."""

    def __init__(self) -> None:
        self._draining = False
        self._waiting: set[asyncio.Task[Any]] = set()

    async def requests(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """One stream's, until the caller or the server has had enough; its handler then returns.

        It ends only between two requests: gRPC sends no status while a message is being written.
        """
        while not self._draining:
            request = await self._next(requests)
            if request is None:
                return
            yield request

    def drain(self) -> None:
        self._draining = True
        for task in self._waiting:
            task.cancel()

    async def _next(self, requests: AsyncIterator[Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            return await anext(requests, None)
        except asyncio.CancelledError:
            if not self._draining:
                raise
            task.uncancel()
            return None
        finally:
            self._waiting.discard(task)
