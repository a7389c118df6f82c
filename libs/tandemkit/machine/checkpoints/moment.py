"""One moment of many databases that others write to meanwhile.

All write locks are taken, one after the other; nobody can commit anything then. In that moment a
reading transaction begins on each, and the locks are given back: writers waited some milliseconds,
and the readers all see the state of the one moment for as long as they read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from tandemkit.core.clock import stopwatch_s
from tandemkit.core.errors import Failure

# Long enough for any commit on a slow disk, short enough that no writer of another store gives up
# waiting: SQLite's own patience is 5 s.
_LOCK_S = 0.5
_TRIES = 20


class Busy(Failure):
    """Somebody holds a store's write lock and does not let go."""


class Moment:
    """Reading transactions by path; `pause_s` is for how long writers were kept waiting."""

    def __init__(self, readers: Mapping[Path, sqlite3.Connection], pause_s: float) -> None:
        self.readers, self.pause_s = readers, pause_s


@contextmanager
def one_moment(paths: Sequence[Path], lock_s: float = _LOCK_S) -> Iterator[Moment]:
    """Raises Busy, and sqlite3.DatabaseError for what is no database or a damaged one."""
    with ExitStack() as stack:
        guards, readers = {}, {}
        for path in paths:
            guards[path] = stack.enter_context(connected(path, lock_s))
            readers[path] = stack.enter_context(connected(path, lock_s))
            # Opens the files, so that the moment itself is short.
            readers[path].execute("SELECT count(*) FROM sqlite_schema").fetchone()
        pause_s = _begun(guards, readers)
        for guard in guards.values():
            guard.close()
        yield Moment(readers, pause_s)


@contextmanager
def connected(path: Path, patience_s: float = _LOCK_S) -> Iterator[sqlite3.Connection]:
    """To a database that is there; it is never made."""
    name = f"file:{quote(str(path))}?mode=rw"
    database = sqlite3.connect(
        name, uri=True, isolation_level=None, timeout=patience_s, check_same_thread=False
    )
    try:
        yield database
    finally:
        database.close()


def _begun(
    guards: Mapping[Path, sqlite3.Connection], readers: Mapping[Path, sqlite3.Connection]
) -> float:
    """How long the locks were held."""
    slow: Path | None = None
    for _ in range(_TRIES):
        began_s = stopwatch_s()
        try:
            for path, guard in guards.items():
                slow = path
                guard.execute("BEGIN IMMEDIATE")
            for path, reader in readers.items():
                slow = path
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            _let_go(readers)
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
        else:
            return stopwatch_s() - began_s
        finally:
            _let_go(guards)
    raise Busy("a store's writer does not let go of it", file=slow)


def _let_go(connections: Mapping[Path, sqlite3.Connection]) -> None:
    for connection in connections.values():
        if connection.in_transaction:
            connection.execute("ROLLBACK")
