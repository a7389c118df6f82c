"""Queues in SQLite, held to the suite and to what a file of one process adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.storage.queue.sqlite import SqliteQueues, sqlite_queues
from tests.contract.queue.suite import Case, FateSuite, QueueSuite


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = AsyncExitStack()
        self._queues: SqliteQueues | None = None

    async def open(self) -> SqliteQueues:
        if self._queues is None:
            opened = sqlite_queues(self._path, SystemClock())
            self._queues = await self._stack.enter_async_context(opened)
        return self._queues

    async def reopen(self) -> SqliteQueues:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        self._queues = None
        await self._stack.aclose()


class TestSqlite(QueueSuite, FateSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        file = _File(tmp_path / "queue.sqlite")
        yield file
        await file.close()
