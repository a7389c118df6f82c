"""Queues in SQLite, held to the suite and to what a file of one process adds."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.core.lock import InUse
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.protocol import Depth
from tandemkit.storage.queue.sqlite import SqliteQueues, sqlite_queues
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.contract.queue.suite import Case, FateSuite, QueueSuite, next_of


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


async def test_a_full_disk_refuses_and_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    """What was confirmed is handed out and done with once there is room, and publishing goes on."""
    async with sqlite_queues(tmp_path / "queue.sqlite", SystemClock()) as queues:
        queue, confirmed = queues.queue("full", 5), 0
        with _no_file_beyond(300_000), pytest.raises(Unreachable):
            for number in range(200):
                await queue.publish(f"id-{number}", bytes(10_000))
                confirmed += 1
        assert 0 < confirmed < 200
        await queue.publish("after", b"")
        assert (await queue.depth()).open_ == confirmed + 1
        async with queue.consume(10) as deliveries:
            for number in range(confirmed):
                delivery = await next_of(deliveries)
                assert delivery.message.id == f"id-{number}"
                await delivery.ack()
            assert (await next_of(deliveries)).message.id == "after"


class _Counting(FakeClock):
    """Knows how many sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = 0

    async def sleep(self, duration_s: float) -> None:
        self.asleep += 1
        try:
            await super().sleep(duration_s)
        finally:
            self.asleep -= 1


async def test_one_alarm_is_enough_for_whatever_is_delayed(tmp_path: Path) -> None:
    """A message of next month does not gather sleepers while others come and go."""
    clock = _Counting()
    async with sqlite_queues(tmp_path / "queue.sqlite", clock) as queues:
        queue = queues.queue("late", 5)
        await queue.publish("far", b"", 30 * 86400.0)
        async with queue.consume(1) as deliveries:
            for number in range(5):
                await queue.publish(f"near-{number}", b"", 1.0)
                delivery = None
                async with asyncio.timeout(20):
                    while delivery is None:
                        await clock.advance(1)
                        with suppress(TimeoutError):
                            delivery = await next_of(deliveries, 0.05)
                await delivery.ack()
                with pytest.raises(TimeoutError):
                    await next_of(deliveries, 0.05)
            assert clock.asleep <= 1


class _Refusing(SqliteQueues):
    """A disk that has no room for the first dead letter."""

    refused = False

    async def write(self, query: str, *values: object) -> int:
        if not self.refused and "why = ?" in query:
            self.refused = True
            raise Unreachable("the disk is full")
        return await super().write(query, *values)


async def test_what_cannot_be_buried_yet_holds_up_nobody(tmp_path: Path) -> None:
    """What was taken with it is handed out, and it becomes a dead letter once there is room."""
    queues = _Refusing(tmp_path / "queue.sqlite", SystemClock())
    async with Tasks() as tasks:
        tasks.spawn("commit", queues.run())
        await queues.queue("worn", 1).publish("old", b"")
        async with queues.queue("worn", 1).consume(1) as deliveries:
            await (await next_of(deliveries)).retry(0.0)
            await queues.queue("worn", 1).publish("new", b"")
            delivery = await next_of(deliveries)
            assert (delivery.message.id, queues.refused) == ("new", True)
            await delivery.ack()
            async with asyncio.timeout(20):
                while await queues.queue("worn", 1).depth() != Depth(0, 1):
                    await asyncio.to_thread(lambda: None)
        await tasks.end()
    queues.close()


async def test_a_file_has_one_owner(tmp_path: Path) -> None:
    """A second process is told so at once."""
    async with sqlite_queues(tmp_path / "queue.sqlite", SystemClock()):
        with pytest.raises(InUse):
            async with sqlite_queues(tmp_path / "queue.sqlite", SystemClock()):
                pass


@contextmanager
def _no_file_beyond(bytes_max: int) -> Iterator[None]:
    """No file of this process grows beyond: to SQLite it is a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
