"""What was done to the files and what is under way, on disk before it happens. One SQLite file in
the agent's state folder.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError


class State(StrEnum):
    """A crash may stop an operation in any of these; `history` says how each is settled."""

    STAGING = "staging"
    INTENDED = "intended"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    PURGING = "purging"
    PURGED = "purged"


@dataclass(frozen=True)
class Entry:
    """One operation: the thing with `inode` goes from `departure` to `arrival`, where None is its
    slot in the trash.

    With `swap`, what stood at `arrival` goes to the slot in the same step.
    """

    id: str
    kind: pb.FileOperationKind.ValueType
    path: str
    source_path: str
    created_us: int
    state: State = State.STAGING
    departure: str | None = None
    arrival: str | None = None
    swap: bool = False
    inode: int = 0
    etag: str = ""
    size_bytes: int = 0

    @property
    def is_made(self) -> bool:
        """Whether the operation happened, whatever became of it since."""
        return self.state not in {State.STAGING, State.INTENDED}

    @property
    def holds_trash(self) -> bool:
        """Whether the slot holds something that a purge would destroy."""
        if self.state == State.DONE:
            return self.swap or self.arrival is None
        return self.state == State.UNDONE and self.departure is None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS operations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    path TEXT NOT NULL,
    source_path TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    departure TEXT,
    arrival TEXT,
    swap INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    etag TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS operations_by_age ON operations (created_us);
CREATE INDEX IF NOT EXISTS operations_unfinished ON operations (state)
    WHERE state IN ('staging', 'intended', 'undoing', 'purging');
CREATE VIEW IF NOT EXISTS trashed AS SELECT * FROM operations
    WHERE (state = 'done' AND (swap OR arrival IS NULL))
    OR (state = 'undone' AND departure IS NULL);
"""
_PUT = """
INSERT INTO operations (id, kind, path, source_path, created_us, state,
    departure, arrival, swap, inode, etag, size_bytes)
VALUES (:id, :kind, :path, :source_path, :created_us, :state,
    :departure, :arrival, :swap, :inode, :etag, :size_bytes)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, departure = excluded.departure,
    arrival = excluded.arrival, swap = excluded.swap, inode = excluded.inode,
    etag = excluded.etag, size_bytes = excluded.size_bytes
"""
_FIND = "SELECT * FROM operations WHERE id = ?"
_UNFINISHED = """
SELECT * FROM operations WHERE state IN ('staging', 'intended', 'undoing', 'purging')
ORDER BY sequence
"""
_TRASHED = "SELECT * FROM trashed WHERE sequence < ? ORDER BY sequence DESC LIMIT ?"
_TRASHED_BEFORE = "SELECT * FROM trashed WHERE created_us < ? ORDER BY sequence"
_FORGET = "DELETE FROM operations WHERE id = ?"
_FORGET_BEFORE = """
DELETE FROM operations WHERE created_us < ? AND state IN ('done', 'undone', 'purged')
AND sequence NOT IN (SELECT sequence FROM trashed)
"""


class Journal:
    """Each call is one transaction, on disk when it returns. Not for two threads at once: `history`
    holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def put(self, entry: Entry) -> None:
        try:
            self._database.execute(_PUT, vars(entry))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise CallerError(errors.ERROR_REASON_DISK_FULL, "the disk is full") from error

    def forget(self, operation_id: str) -> None:
        self._database.execute(_FORGET, (operation_id,))

    def find(self, operation_id: str) -> Entry | None:
        row = self._database.execute(_FIND, (operation_id,)).fetchone()
        return row and _entry(row)

    def made(self, operation_id: str) -> Entry:
        """The operation, if it ever happened; refuses one that did not."""
        entry = self.find(operation_id)
        if entry is None or not entry.is_made:
            raise CallerError(
                errors.ERROR_REASON_OPERATION_NOT_FOUND,
                "there is no such operation",
                operation=operation_id,
            )
        return entry

    def unfinished(self) -> list[Entry]:
        return [_entry(row) for row in self._database.execute(_UNFINISHED)]

    def trashed(self, before: int, limit: int) -> list[tuple[int, Entry]]:
        """Those that hold trash, newest first, from below the sequence number `before`."""
        rows = self._database.execute(_TRASHED, (before, limit))
        return [(row["sequence"], _entry(row)) for row in rows]

    def trashed_before(self, created_us: int) -> list[Entry]:
        return [_entry(row) for row in self._database.execute(_TRASHED_BEFORE, (created_us,))]

    def forget_before(self, created_us: int) -> None:
        """Drops what is that old, finished, and holds no trash."""
        self._database.execute(_FORGET_BEFORE, (created_us,))


def _entry(row: sqlite3.Row) -> Entry:
    values = dict(row)
    del values["sequence"]
    return Entry(**values | {"state": State(values["state"]), "swap": bool(values["swap"])})


def microseconds(moment: datetime) -> int:
    """The journal's time: since 1970, in UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
