"""The shared tier in a file of SQLite, for one replica: it outlives a restart."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from services.memory.cache import file_rows as rows
from services.memory.cache.keeping import Kept, LeaseLost, Place, Taken, Wanted, Write, epoch_ms
from services.memory.cache.leases import Leases
from services.memory.cache.tier import Which
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.failure import Damaged
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.supervise.tasks import Tasks

FILE = "cache.sqlite"
_LOGGER = logging.getLogger("services.memory")
_Work: TypeAlias = Callable[[sqlite3.Connection], Any]


class FileTier:
    """`services.memory.cache.tier.SharedTier`, from `file_tier`. `evicted` is told of entries that
    went for lack of room: their namespace, and how many.
    """

    backend = "embedded"
    is_reachable = True

    def __init__(self, path: Path, room: rows.Room, clock: Clock) -> None:
        self._writer = Connection(path, rows.SCHEMA)
        self._reader = Connection(path)
        self._room, self._clock = room, clock
        self._writes: GroupCommit[_Work, Any] = GroupCommit(self._commit)
        self._takes: GroupCommit[Wanted, Taken] = GroupCommit(self._take_all)
        self._leases = Leases()
        # Keys whose leases the writes in progress have used; and those that were written since the
        # reads in progress began, which may not know.
        self._used_up: set[Place] = set()
        self._written: set[Place] | None = None
        # What was read since the last write, which notes it: a read writes nothing.
        self._used: dict[Place, int] = {}

    async def run(self) -> None:
        """Reads and writes what is wanted, until cancelled."""
        await self._reader.do(self._room.look)
        async with Tasks() as tasks:
            tasks.spawn("cache:read", self._takes.run())
            await self._writes.run()

    async def take(self, wanted: Wanted) -> Taken:
        return await self._takes.do(wanted)

    async def put(self, write: Write) -> int:
        def work(database: sqlite3.Connection) -> int:
            there = rows.standing(database, write.place)
            if there.mark == write.mark:
                return there.version
            if write.lease and write.place in self._used_up:
                raise LeaseLost("the lease is over; look again for another")
            if write.lease:
                self._leases.check(write.place, write.lease, write.now_ms)
            rows.expect(write.expected, there, write.now_ms)
            version = rows.put(database, write)
            self._used_up.add(write.place)
            return version

        return int(await self._writes.do(work))

    async def release(self, place: Place, token: str) -> None:
        self._leases.release(place, token)

    async def delete(self, place: Place, expected: int | None, now_ms: int) -> bool:
        def work(database: sqlite3.Connection) -> bool:
            there = rows.standing(database, place)
            rows.expect(expected, there, now_ms)
            self._leases.end(place)
            rows.delete(database, [place])
            return there.is_there(now_ms)

        return bool(await self._writes.do(work))

    async def sweep(self, which: Which, now_ms: int) -> int:
        # Behind every write that a lease let in before.
        await self._writes.do(lambda _: self._leases.end_all(which.namespace, which.prefix))
        found = await self._reader.do(lambda database: _places(database, which))
        swept = int(await self._writes.do(lambda database: rows.delete(database, found)))
        await self._writer.scrub()
        return swept

    async def entries(self, which: Which, now_ms: int) -> AsyncIterator[Kept]:
        found = await self._reader.do(lambda database: list(rows.chosen(database, which)))
        for kept in found:
            if kept.is_there(now_ms):
                yield kept

    def bytes_of(self, namespace: str) -> int | None:
        return self._room.bytes.get(namespace, 0)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _take_all(self, batch: Sequence[Wanted]) -> Sequence[Taken | Failure]:
        places, found = {one.place for one in batch}, dict[Place, Kept]()
        while places:
            self._written = set()
            found |= await self._reader.do(partial(rows.found, places=frozenset(places)))
            # A lease that ended meanwhile is no sign that there is nothing.
            places &= self._written
        self._written = None
        return [self._taken(one, found.get(one.place)) for one in batch]

    def _taken(self, wanted: Wanted, kept: Kept | None) -> Taken:
        if kept is not None and not kept.is_there(wanted.now_ms):
            kept = None
        if kept is not None:
            self._used[wanted.place] = wanted.now_ms
            if kept.is_fresh(wanted.now_ms):
                return Taken(kept)
        is_granted, lease_ms = self._leases.take(wanted)
        return Taken(kept, is_granted, lease_ms)

    async def _commit(self, batch: Sequence[_Work]) -> Sequence[Any]:
        used, self._used = self._used, {}

        def work(database: sqlite3.Connection) -> list[Any]:
            rows.note(database, used)
            outcomes = [_outcome(one, database) for one in batch]
            self._room.make(database, epoch_ms(self._clock))
            return outcomes

        try:
            outcomes = await self._writer.do(work)
            # Only now does everybody who looks find what was put.
            for place in self._used_up:
                self._leases.end(place)
            if self._written is not None:
                self._written |= self._used_up
        finally:
            self._used_up.clear()
        return outcomes


def _places(database: sqlite3.Connection, which: Which) -> list[Place]:
    return [Place(which.namespace, kept.entry.key) for kept in rows.chosen(database, which)]


def _outcome(work: _Work, database: sqlite3.Connection) -> Any:
    """One that is refused has written nothing, and the others go on."""
    try:
        return work(database)
    except Failure as error:
        return error


@asynccontextmanager
async def file_tier(path: Path, room: rows.Room, clock: Clock) -> AsyncIterator[FileTier]:
    """The tier in this file, which has to be on a local disk. A damaged one is begun anew: nothing
    in it was anywhere's only copy. Raises InUse, Unreachable.
    """
    with owned(path):
        try:
            tier = await asyncio.to_thread(FileTier, path, room, clock)
        except Damaged as error:
            log.event(_LOGGER, logging.WARNING, "cache.file_damaged", **error.metadata)
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            tier = await asyncio.to_thread(FileTier, path, room, clock)
        try:
            async with Tasks() as tasks:
                tasks.spawn("cache:file", tier.run())
                yield tier
        finally:
            tier.close()
