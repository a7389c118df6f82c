"""What the embedded registry must never forget: values, tokens, and how far revisions went. Each
write is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from tandemkit.reach.failure import Unreachable
from tandemkit.registry.protocol import Leadership, LeadershipLost, VersionConflict, Versioned

T = TypeVar("T")

# One write to the disk for so many changes: those left over at a restart are never used.
REVISIONS_RESERVED = 1_000_000
# More than a fleet counts between a checkpoint and its restore.
_GAP = 1_000_000_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS stored (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS elections (
    election TEXT NOT NULL PRIMARY KEY,
    token INTEGER NOT NULL,
    candidate TEXT NOT NULL,
    ttl_s REAL NOT NULL,
    is_held INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS counters (
    name TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;
"""
_GET = "SELECT value, version FROM stored WHERE key = ?"
_VALUES = "SELECT key, value, version FROM stored ORDER BY key"
_VERSION = "SELECT version FROM stored WHERE key = ?"
_PUT = """
INSERT INTO stored (key, value, version) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version
"""
_DELETE = "DELETE FROM stored WHERE key = ?"
_COUNT = """
INSERT INTO counters (name, count) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET count = count + excluded.count RETURNING count
"""
_ELECTED = "SELECT token FROM elections WHERE election = ?"
_ELECT = """
INSERT INTO elections (election, token, candidate, ttl_s, is_held)
VALUES (?, 1 + coalesce((SELECT count FROM counters WHERE name = 'token'), 0), ?, ?, TRUE)
ON CONFLICT (election) DO UPDATE SET token = token + 1, candidate = excluded.candidate,
    ttl_s = excluded.ttl_s, is_held = TRUE
RETURNING token
"""
_RESIGN = "UPDATE elections SET is_held = FALSE WHERE election = ? AND token = ?"
_LEADERS = "SELECT election, candidate, token, ttl_s FROM elections WHERE is_held"
_IS_REGISTRY = "SELECT count(*) = 2 FROM sqlite_schema WHERE name IN ('counters', 'elections')"
_RAISE_TOKENS = "UPDATE elections SET token = token + ?"


class Store:
    """Writes block for the disk and are called through `durably`, by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._writer = _opened(path, check_same_thread=False)
        self._writer.executescript(_SCHEMA)
        self._reader = _opened(path, check_same_thread=True)
        self._turn = threading.Lock()
        self._queue = asyncio.Lock()
        # Rises once what was written can be read.
        self.writes = 0

    async def durably(self, write: Callable[[], T]) -> T:
        """What `write` answers, once it is on disk; it may happen though its caller gave up."""
        # Threads that would only wait for the one that writes are better left to others.
        async with self._queue:
            return await asyncio.to_thread(write)

    def get(self, key: str) -> Versioned | None:
        """Reads beside the writer, from memory as a rule: quick enough for the loop."""
        with _answering():
            row = self._reader.execute(_GET, (key,)).fetchone()
        return Versioned(*row) if row else None

    def values(self) -> dict[str, Versioned]:
        with _answering():
            return {key: Versioned(*row) for key, *row in self._reader.execute(_VALUES)}

    def put(
        self, key: str, value: bytes, expected: int | None, leadership: Leadership | None
    ) -> int:
        with self._transaction():
            if leadership is not None and self._token(leadership.election) != leadership.token:
                raise LeadershipLost
            self._check(key, expected)
            # One counter for all keys, so that a deleted key needs no tombstone.
            version = self._count("version", 1)
            self._writer.execute(_PUT, (key, value, version))
            return version

    def delete(self, key: str, expected: int | None) -> None:
        with self._transaction():
            self._check(key, expected)
            self._writer.execute(_DELETE, (key,))

    def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """The next token; whether the election is free is not asked here."""
        with self._transaction():
            (token,) = self._writer.execute(_ELECT, (election, candidate, ttl_s)).fetchone()
        return Leadership(election, candidate, token, ttl_s)

    def resign(self, leadership: Leadership) -> None:
        with self._transaction():
            self._writer.execute(_RESIGN, (leadership.election, leadership.token))

    def leaders(self) -> list[Leadership]:
        """Those who led when the last process ended, as far as it knew."""
        return [Leadership(*row) for row in self._reader.execute(_LEADERS)]

    def reserve_revisions(self) -> range:
        """Revisions that no process ever used."""
        with self._transaction():
            stop = self._count("revision", REVISIONS_RESERVED)
        return range(stop - REVISIONS_RESERVED, stop)

    def close(self) -> None:
        with self._turn:
            self._reader.close()
            self._writer.close()

    def _check(self, key: str, expected: int | None) -> None:
        row = self._writer.execute(_VERSION, (key,)).fetchone()
        if expected is not None and expected != (row[0] if row else 0):
            raise VersionConflict

    def _token(self, election: str) -> int:
        row = self._writer.execute(_ELECTED, (election,)).fetchone()
        return row[0] if row else 0

    def _count(self, name: str, step: int) -> int:
        (count,) = self._writer.execute(_COUNT, (name, step)).fetchone()
        return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn, _answering():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                self.writes += 1


@contextmanager
def _answering() -> Iterator[None]:
    """For what the disk refuses. Whether a commit that failed took effect is not known."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unreachable("the disk refused") from error


def _opened(path: Path, *, check_same_thread: bool) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=check_same_thread)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database


def leave_a_gap(path: Path) -> None:
    """For a file that is an older copy of itself: what is counted next is above all that was ever
    told, to hosts of other machines too. Nobody else has the file open.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # No journal is left beside it.
        database.execute("PRAGMA journal_mode = DELETE")
        if database.execute(_IS_REGISTRY).fetchone()[0]:
            database.execute("BEGIN IMMEDIATE")
            # The last one is the token before the first of an election that is new.
            for name in ("version", "revision", "token"):
                database.execute(_COUNT, (name, _GAP)).fetchone()
            database.execute(_RAISE_TOKENS, (_GAP,))
            database.execute("COMMIT")
