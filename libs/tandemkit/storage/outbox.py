"""Events on their way to an event store that may be away: kept in a file of this process's own
until somebody has them.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.lock import InUse
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.protocol import NewEvent, check_events, check_name
from tandemkit.storage.failure import Damaged
from tandemkit.storage.sqlite_file import Connection, owned

# Beyond them the oldest are given up, which the log says: a disk is no less dear than a record.
EVENTS_MAX = 100_000
_FRESH_MAX = 10_000
_PAUSE_S = 1.0
_LOGGER = logging.getLogger("tandemkit.storage")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
"""
_PUT = "INSERT OR IGNORE INTO outbox (stream, id, kind, content) VALUES (?, ?, ?, ?)"
_FIRST = "SELECT number, stream, id, kind, content FROM outbox ORDER BY number LIMIT ?"
_FORGET = "DELETE FROM outbox WHERE number <= ?"
_LAST = "SELECT coalesce(max(number), 0) FROM outbox"


@dataclass(frozen=True, slots=True)
class Kept:
    """An event that is on disk here; numbers rise."""

    number: int
    stream: str
    event: NewEvent


@dataclass(frozen=True, slots=True)
class _Fresh:
    """One that is not on disk yet, and who waits for that, if anybody."""

    stream: str
    event: NewEvent
    written: asyncio.Future[None] | None = None

    def tell(self, error: Exception | None) -> None:
        if self.written is None or self.written.done():
            return
        if error is None:
            self.written.set_result(None)
        else:
            self.written.set_exception(error)


class Outbox:
    """`run` has the file, which is not made before there is something to keep."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._fresh: list[_Fresh] = []
        self._due = asyncio.Event()
        self._database: Connection | None = None
        self._is_over = False
        # Set whenever there may be something that nobody has yet.
        self.filled = asyncio.Event()

    def put(self, stream: str, event: NewEvent) -> None:
        """Keeps it soon, without waiting. What is put in the last moments before the process is
        killed is lost. Raises Unreachable, and ValueError for what no event store takes.
        """
        self._take(_Fresh(stream, event))

    async def keep(self, stream: str, event: NewEvent) -> None:
        """Returns when it is on disk. One of the same id is kept once. Raises Unreachable."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take(_Fresh(stream, event, written))
        await written

    async def first(self, limit: int) -> tuple[Kept, ...]:
        """The oldest, in the order in which they were put."""
        if self._database is None:
            return ()
        return await self._database.do(
            lambda database: tuple(
                Kept(number, stream, NewEvent(*event))
                for number, stream, *event in database.execute(_FIRST, (limit,))
            )
        )

    async def forget(self, number: int) -> None:
        """Those up to there: somebody has them."""
        if self._database is not None:
            await self._database.do(lambda database: database.execute(_FORGET, (number,)))

    async def run(self) -> None:
        """Writes what is put, until cancelled, and then what is left."""
        try:
            if not self._path.exists():
                await self._due.wait()
            async with self._opened() as database:
                self._database = database
                self.filled.set()
                while True:
                    await self._due.wait()
                    self._due.clear()
                    await self._write(database)
        finally:
            self._database, self._is_over = None, True
            await self._end()

    async def _end(self) -> None:
        if self._fresh:
            try:
                with self._owned():
                    database = await self._connected()
                    try:
                        await self._write(database)
                    finally:
                        database.close()
            except InUse:
                log.event(_LOGGER, logging.ERROR, "outbox.dropped", events=len(self._fresh))
        for one in self._fresh:
            one.tell(Unreachable("the outbox closed"))

    def _take(self, fresh: _Fresh) -> None:
        check_name(fresh.stream)
        check_events((fresh.event,))
        if self._is_over or len(self._fresh) >= _FRESH_MAX:
            raise Unreachable("the outbox is closed, or its disk full and its memory too")
        self._fresh.append(fresh)
        self._due.set()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Connection]:
        """Waits for the process that had the file before."""
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(self._owned())
                except InUse:
                    await self._clock.sleep(_PAUSE_S)
                else:
                    break
            database = await self._connected()
            stack.callback(database.close)
            yield database

    @contextmanager
    def _owned(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with owned(self._path):
            yield

    async def _connected(self) -> Connection:
        """Begins anew where the file is damaged."""
        while True:
            try:
                return await asyncio.to_thread(Connection, self._path, _SCHEMA)
            except Damaged as error:
                aside = _put_aside(self._path)
                said = {"kept": str(aside), "cause": str(error)}
                log.event(_LOGGER, logging.ERROR, "outbox.damaged", **said)
            except Unreachable as error:
                log.event(_LOGGER, logging.ERROR, "outbox.unwritable", cause=str(error))
                await self._clock.sleep(_PAUSE_S)

    async def _write(self, database: Connection) -> None:
        """What the disk refuses is tried again with the next, unless somebody waits to hear it."""
        batch, self._fresh = self._fresh, []
        if not batch:
            return
        try:
            dropped = await database.do(lambda connection: _put(connection, batch))
        except (Unreachable, Damaged) as error:
            log.event(_LOGGER, logging.ERROR, "outbox.unwritable", cause=str(error))
            for one in batch:
                one.tell(Unreachable("the disk refused to keep an event"))
            self._fresh[:0] = [one for one in batch if one.written is None]
            return
        except asyncio.CancelledError:
            # Whether they are on disk is not known; the last write of all puts them there once.
            self._fresh[:0] = batch
            raise
        if dropped:
            log.event(_LOGGER, logging.ERROR, "outbox.dropped", events=dropped)
        for one in batch:
            one.tell(None)
        self.filled.set()


def _put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    for end in ("-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
    return aside


def _put(database: sqlite3.Connection, batch: Sequence[_Fresh]) -> int:
    """Returns how many old ones had to go."""
    database.executemany(
        _PUT, [(one.stream, one.event.id, one.event.kind, one.event.content) for one in batch]
    )
    (last,) = database.execute(_LAST).fetchone()
    return database.execute(_FORGET, (last - EVENTS_MAX,)).rowcount
