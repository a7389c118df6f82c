"""Queues in one SQLite file: for a process that publishes and consumes by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.queue.hand import Hand
from tandemkit.storage.queue.protocol import (
    DEAD_MAX,
    TOO_OFTEN,
    Dead,
    Delivery,
    Depth,
    Message,
    check_delay,
    check_message,
    check_name,
    check_prefetch,
)
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.supervise.alarm import Alarm
from tandemkit.supervise.tasks import Tasks

# `holder` is a consumer of this life of the process: when it begins nobody has any.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    content BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_us INTEGER NOT NULL,
    holder INTEGER,
    why TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS messages_due ON messages (queue, due_us, number)
    WHERE holder IS NULL AND why IS NULL;
CREATE INDEX IF NOT EXISTS messages_dead ON messages (queue, number) WHERE why IS NOT NULL;
UPDATE messages SET holder = NULL WHERE holder IS NOT NULL;
"""
_PUT = "INSERT INTO messages (queue, id, content, due_us) VALUES (?, ?, ?, ?)"
_TAKE = """
UPDATE messages SET holder = ?, attempts = attempts + 1 WHERE number IN (
    SELECT number FROM messages
    WHERE queue = ? AND due_us <= ? AND holder IS NULL AND why IS NULL
    ORDER BY due_us, number LIMIT ?
) RETURNING number, id, content, attempts
"""
_NEXT = "SELECT min(due_us) FROM messages WHERE queue = ? AND holder IS NULL AND why IS NULL"
_ACK = "DELETE FROM messages WHERE number = ? AND holder = ?"
_RETRY = "UPDATE messages SET holder = NULL, due_us = ? WHERE number = ? AND holder = ?"
_BURY = "UPDATE messages SET holder = NULL, why = ? WHERE number = ? AND holder = ?"
_RELEASE = "UPDATE messages SET holder = NULL WHERE holder = ?"
_COUNT = "SELECT count(*), count(why) FROM messages WHERE queue = ?"
_DEAD = """
SELECT id, content, attempts, why FROM messages WHERE queue = ? AND why IS NOT NULL
ORDER BY number LIMIT ?
"""
_REVIVE = """
UPDATE messages SET why = NULL, attempts = 0, due_us = ? WHERE number IN (
    SELECT number FROM messages WHERE queue = ? AND why IS NOT NULL ORDER BY number LIMIT ?
)
"""
_Write: TypeAlias = Callable[[sqlite3.Connection], Any]
# What the disk refused it may take later.
_AGAIN_S = 1.0


class SqliteQueues:
    """One file with as many queues as one likes, from `sqlite_queues`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._writer, self._reader = Connection(path, _SCHEMA), Connection(path)
        self._group: GroupCommit[_Write, Any] = GroupCommit(self._commit)
        self.run = self._group.run
        self.clock = clock
        self._made, self._last_us = 0, 0
        self._consumers: dict[str, set[_Consumer]] = {}

    def queue(self, name: str, attempts_max: int) -> SqliteQueue:
        """Raises ValueError for what is no name."""
        check_name(name)
        return SqliteQueue(self, name, attempts_max)

    async def check(self) -> None:
        """Raises what keeps the file from being read."""
        await self.read("SELECT 1 FROM messages LIMIT 1")

    async def write(self, query: str, *values: object) -> int:
        """Together with the others that wait; how many rows it changed."""
        return int(await self._group.do(lambda one: one.execute(query, values).rowcount))

    async def change(self, query: str, *values: object) -> list[Any]:
        """The same, for the rows that it returns."""
        rows: list[Any] = await self._group.do(lambda one: one.execute(query, values).fetchall())
        return rows

    async def read(self, query: str, *values: object) -> list[Any]:
        return await self._reader.do(lambda database: database.execute(query, values).fetchall())

    def now_us(self) -> int:
        """Does not go back while the process lives, so that what is published stays in order."""
        self._last_us = max(self._last_us, int(self.clock.now().timestamp() * 1e6))
        return self._last_us

    @asynccontextmanager
    async def consumer(self, queue: SqliteQueue, prefetch: int) -> AsyncIterator[_Consumer]:
        self._made += 1
        consumer = _Consumer(queue, self._made, prefetch)
        fellows = self._consumers.setdefault(queue.name, set())
        fellows.add(consumer)
        try:
            yield consumer
        finally:
            fellows.discard(consumer)
            await consumer.release()
            self.wake(queue.name)

    def wake(self, name: str) -> None:
        """There may be something to hand out."""
        for consumer in self._consumers.get(name, ()):
            consumer.news.set()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _commit(self, batch: Sequence[_Write]) -> Sequence[Any | Failure]:
        return await self._writer.do(lambda database: [work(database) for work in batch])


class SqliteQueue:
    """`tandemkit.storage.queue.protocol.Queue`."""

    def __init__(self, queues: SqliteQueues, name: str, attempts_max: int) -> None:
        self.queues, self.name, self.attempts_max = queues, name, attempts_max

    async def publish(self, message_id: str, content: bytes, delay_s: float = 0.0) -> None:
        check_message(message_id, content)
        check_delay(delay_s)
        due_us = self.queues.now_us() + int(delay_s * 1e6)
        await self.queues.write(_PUT, self.name, message_id, content, due_us)
        self.queues.wake(self.name)

    @asynccontextmanager
    async def consume(self, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        check_prefetch(prefetch)
        async with self.queues.consumer(self, prefetch) as consumer, Tasks() as tasks:
            tasks.spawn(f"queue:{self.name}", consumer.run())
            yield consumer.hand

    async def depth(self) -> Depth:
        ((count, dead),) = await self.queues.read(_COUNT, self.name)
        return Depth(count - dead, dead)

    async def dead(self, limit: int = DEAD_MAX) -> tuple[Dead, ...]:
        rows = await self.queues.read(_DEAD, self.name, limit)
        return tuple(Dead(Message(*message), why) for *message, why in rows)

    async def revive(self, limit: int = DEAD_MAX) -> int:
        revived = await self.queues.write(_REVIVE, self.queues.now_us(), self.name, limit)
        self.queues.wake(self.name)
        return revived


class _Consumer:
    def __init__(self, queue: SqliteQueue, holder: int, prefetch: int) -> None:
        self._queue, self._queues = queue, queue.queues
        self._holder, self._free = holder, prefetch
        self.hand: Hand[_Delivery] = Hand()
        # Handed out too often, and not yet dead: the disk may refuse that for a while.
        self._worn: list[_Delivery] = []
        self.now_us = queue.queues.now_us
        self.news = asyncio.Event()
        self._alarm = Alarm(queue.queues.clock, self.news.set)
        self.news.set()

    async def run(self) -> None:
        """Takes what is due while there is room, and sleeps until there may be more."""
        try:
            while True:
                await self.news.wait()
                self.news.clear()
                try:
                    await self._take()
                except Unreachable:
                    self._wake_in(_AGAIN_S)
        finally:
            await self._alarm.end()

    async def settle(self, query: str, *values: object) -> None:
        """What this consumer has; where it has it no more nothing happens."""
        await self._queues.write(query, *values, self._holder)
        self._free += 1
        self._queues.wake(self._queue.name)

    async def release(self) -> None:
        # Where the disk refuses, the next life of the process releases them.
        with suppress(Unreachable):
            await self._queues.write(_RELEASE, self._holder)

    async def _take(self) -> None:
        if not (self._free or self._worn):
            return
        queue, now_us = self._queue, self._queues.now_us()
        rows = await self._queues.change(_TAKE, self._holder, queue.name, now_us, self._free)
        self._free -= len(rows)
        taken = [_Delivery(self, number, Message(*message)) for number, *message in sorted(rows)]
        self._worn += [one for one in taken if one.message.attempt > queue.attempts_max]
        for delivery in taken:
            if delivery not in self._worn:
                self.hand.put(delivery)
        while self._worn:
            await self._worn[0].bury(TOO_OFTEN)
            del self._worn[0]
        if self._free:
            ((next_us,),) = await self._queues.read(_NEXT, queue.name)
            if next_us is not None:
                self._wake_in((next_us - now_us) / 1e6)

    def _wake_in(self, delay_s: float) -> None:
        self._alarm.set_to(self._queues.clock.monotonic_s() + max(delay_s, 0.0))


class _Delivery:
    """`tandemkit.storage.queue.protocol.Delivery`."""

    is_lost = False

    def __init__(self, consumer: _Consumer, number: int, message: Message) -> None:
        self._consumer, self._number, self.message = consumer, number, message

    async def ack(self) -> None:
        await self._consumer.settle(_ACK, self._number)

    async def retry(self, delay_s: float) -> None:
        check_delay(delay_s)
        due_us = self._consumer.now_us() + int(delay_s * 1e6)
        await self._consumer.settle(_RETRY, due_us, self._number)

    async def bury(self, why: str) -> None:
        await self._consumer.settle(_BURY, why, self._number)


@asynccontextmanager
async def sqlite_queues(path: Path, clock: Clock) -> AsyncIterator[SqliteQueues]:
    """The queues in this file, which has to be on a local disk. Raises InUse, Damaged."""
    with owned(path):
        queues = await asyncio.to_thread(SqliteQueues, path, clock)
        try:
            async with Tasks() as tasks:
                tasks.spawn("queue:commit", queues.run())
                yield queues
        finally:
            queues.close()
