"""The journal of leases: what a control that was killed goes on with. It is for speed, not for
keeps: losing it costs every host one new registration, so nothing waits for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tandemkit.core import log
from tandemkit.registry.protocol import Lease

_LOGGER = logging.getLogger("tandemkit.registry")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL UNIQUE,
    ttl_s REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS registrations (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    lease TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX IF NOT EXISTS registrations_of_lease ON registrations (lease);
"""
_OPEN = "INSERT INTO leases (number, id, owner, ttl_s) VALUES (?, ?, ?, ?)"
_END = "DELETE FROM leases WHERE id = ?"
_REGISTER = """
INSERT INTO registrations (key, value, lease) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, lease = excluded.lease
"""
_REMOVE = "DELETE FROM registrations WHERE key = ?"
_LEASES = "SELECT number, id, owner, ttl_s FROM leases ORDER BY number"
_REGISTRATIONS = "SELECT lease, key, value FROM registrations ORDER BY rowid"


class _Damaged(Exception):
    """What the file holds cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Journalled:
    """A lease with its place in the order of opening, and what was registered under it."""

    number: int
    lease: Lease
    values: dict[str, bytes]


class LeaseJournal:
    """Survives the end of the process, not surely that of the machine, whose hosts ended with it.

    A journal that cannot be read or written is deleted: one that misses a removal would bring the
    dead back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None
        try:
            self._database = _opened(path)
        except _Damaged:
            log.event(_LOGGER, logging.WARNING, "registry.journal.damaged")
            self._delete()
            self._database = _opened(path)

    def load(self) -> Iterator[Journalled]:
        """What the last control left, the oldest lease first."""
        assert self._database is not None
        values: dict[str, dict[str, bytes]] = {}
        for identity, key, value in self._database.execute(_REGISTRATIONS):
            values.setdefault(identity, {})[key] = value
        for number, identity, owner, ttl_s in self._database.execute(_LEASES):
            yield Journalled(number, Lease(identity, owner, ttl_s), values.get(identity, {}))

    def opened(self, number: int, lease: Lease) -> None:
        self._write(_OPEN, number, lease.id, lease.owner, lease.ttl_s)

    def ended(self, lease: Lease) -> None:
        """With its registrations."""
        self._write(_END, lease.id)

    def registered(self, key: str, value: bytes, lease: Lease) -> None:
        self._write(_REGISTER, key, value, lease.id)

    def removed(self, key: str) -> None:
        self._write(_REMOVE, key)

    def close(self) -> None:
        """Later calls do nothing."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _write(self, statement: str, *values: object) -> None:
        if self._database is None:
            return
        try:
            self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            log.event(
                _LOGGER, logging.WARNING, "registry.journal.lost", error=error.sqlite_errorname
            )
            self.close()
            self._delete()

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # The kernel has it, so the end of the process takes nothing; and no fsync holds the loop.
        database.execute("PRAGMA synchronous = OFF")
        # Often and little, so that no checkpoint holds it for long either.
        database.execute("PRAGMA wal_autocheckpoint = 64")
        database.execute("PRAGMA foreign_keys = ON")
        database.executescript(_SCHEMA)
        verdict = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        database.close()
        if error.sqlite_errorcode in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise _Damaged from error
        raise
    if verdict != ("ok",):
        database.close()
        raise _Damaged
    return database
