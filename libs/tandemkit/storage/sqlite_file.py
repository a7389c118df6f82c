"""A SQLite file that one process owns: a connection for its writer and one for its readers, each
used by one thread at a time.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from tandemkit.core.lock import alone
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.failure import Damaged

T = TypeVar("T")


class Connection:
    """Each use is a transaction. One with a `schema` writes, and takes the file's write lock at its
    start.
    """

    def __init__(self, path: Path, schema: str = "") -> None:
        self._begin = "BEGIN IMMEDIATE" if schema else "BEGIN"
        with _answering():
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            # What is deleted or replaced is overwritten; what is sorted never lies in a file.
            self._database.execute("PRAGMA secure_delete = ON")
            self._database.execute("PRAGMA temp_store = MEMORY")
            if schema:
                self._database.executescript(schema)
        self._queue = asyncio.Lock()
        self._turn = threading.Lock()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` answers, once it is on disk; it may happen though its caller gave up."""
        # Threads that would only wait for the one that works are better left to others.
        async with self._queue:
            return await asyncio.to_thread(self._transact, work)

    async def scrub(self) -> None:
        """What was deleted or replaced so far is in no file of the database any more when this
        returns: the write-ahead log, which has the pages of before, is emptied. Of full-text tables
        the writer merges the segments first. Raises Unreachable where a reader does not end.
        """
        async with self._queue:
            await asyncio.to_thread(self._empty_log)

    def close(self) -> None:
        with self._turn:
            self._database.close()

    def _empty_log(self) -> None:
        """Waits for readers as for any lock: sqlite3's own 5 s."""
        with self._turn, _answering():
            (busy, *_frames) = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unreachable("somebody reads the database for too long to empty its log")

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


def owned(path: Path) -> AbstractContextManager[None]:
    """Raises InUse where another process is inside of it with the same path."""
    return alone(path.with_name(f"{path.name}.lock"))


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
