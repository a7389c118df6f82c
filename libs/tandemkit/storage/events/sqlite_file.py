"""The file of events: one connection for the writer and one for readers, each used by one thread at
a time.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import Damaged, Unreachable

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    time_us INTEGER NOT NULL,
    digest BLOB NOT NULL,
    UNIQUE (stream, version)
) STRICT;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
INSERT OR IGNORE INTO head (one, position, digest) VALUES (1, 0, zeroblob(32));
CREATE TABLE IF NOT EXISTS snapshots (
    stream TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""


class EventsInUse(Failure):
    """Another process has the file."""


class Connection:
    """Each use is a transaction. A `writing` one takes the file's write lock from its start."""

    def __init__(self, path: Path, *, writing: bool) -> None:
        self._begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
        with _answering():
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            if writing:
                self._database.executescript(_SCHEMA)
        self._queue = asyncio.Lock()
        self._turn = threading.Lock()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` answers, once it is on disk; it may happen though its caller gave up."""
        # Threads that would only wait for the one that works are better left to others.
        async with self._queue:
            return await asyncio.to_thread(self._transact, work)

    def close(self) -> None:
        with self._turn:
            self._database.close()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._turn, _answering():
            try:
                self._database.execute(self._begin)
                answer = work(self._database)
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        return answer


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Raises EventsInUse where another process has the file beside `path`."""
    # The kernel lets go of the lock with the process, however that ends.
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EventsInUse("another process has these events", file=path) from error
        yield


@contextmanager
def _answering() -> Iterator[None]:
    """For what the disk refuses. Whether a commit that failed took effect is not known."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # Text that is none has no name: Python found it, not SQLite.
        cause = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
        if isinstance(error, sqlite3.OperationalError) and cause != "SQLITE_CORRUPT":
            raise Unreachable("the disk refused", cause=cause) from error
        raise Damaged("the file is damaged", cause=cause) from error
