"""What is wrong with a database, as far as SQLite, its content's schemas and the chain of events
can tell: in words that name the table and the record.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from google.protobuf.message import DecodeError

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1.registry_service_pb2 import StoredValue
from tandemkit.core.errors import Failure
from tandemkit.storage.events.chain import Verifier
from tandemkit.storage.events.protocol import Head
from tandemkit.storage.events.rows import event_of

# Whether content is a message of that schema; None where nobody here knows the schema.
Reads = Callable[[str, bytes], bool | None]
_SAID_MAX = 20
_DIGITS = 16
_EVENTS = {"position", "stream", "version", "id", "kind", "content", "time_us", "digest"}
_OWN = "sqlite_"


@contextmanager
def at_rest(path: Path) -> Iterator[sqlite3.Connection]:
    """To a file that nobody writes, without a journal beside it; nothing is made there either."""
    name = f"file:{quote(str(path))}?mode=ro&immutable=1"
    database = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
    try:
        yield database
    finally:
        database.close()


def faults(database: sqlite3.Connection, reads: Reads, noted: Head | None) -> Iterator[str]:
    """Each in a few words; none where all is well. `noted` is how far the events once went."""
    try:
        structural = [*_structural(database)]
        yield from structural
        # What is not even ordered as a database gives the same news again, worse.
        if not structural:
            yield from _unreadable(database, reads)
            yield from _unchained(database, noted)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield f"cannot be read: {error}"


def tables_of(database: sqlite3.Connection) -> list[pb.CheckpointTable]:
    """With their rows counted."""
    return [
        pb.CheckpointTable(
            name=name,
            rows=_counted(database, name),
            schema=hashlib.sha256(made.encode()).hexdigest()[:_DIGITS],
        )
        for name, made in _tables(database)
    ]


def head_of(database: sqlite3.Connection) -> Head | None:
    """Of the events that it keeps; None where it is no store of events."""
    if "events" not in dict(_tables(database)) or _EVENTS - _columns(database, "events"):
        return None
    return Head(*database.execute("SELECT position, digest FROM head").fetchone())


def page_bytes(database: sqlite3.Connection) -> int:
    (size,) = database.execute("PRAGMA page_size").fetchone()
    return int(size)


def owner_of(database: sqlite3.Connection, page: int) -> str:
    """Which table or index a page belongs to; empty where that cannot be found out."""
    try:
        found = database.execute("SELECT name FROM dbstat WHERE pageno = ?", (page,)).fetchone()
    except sqlite3.Error:
        # Not built in, or the way to that page is what is damaged.
        return ""
    return str(found[0]) if found else ""


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _structural(database: sqlite3.Connection) -> Iterator[str]:
    for (said,) in database.execute(f"PRAGMA quick_check({_SAID_MAX})"):
        if said != "ok":
            yield str(said)
    for table, row, parent, _ in database.execute("PRAGMA foreign_key_check").fetchmany(_SAID_MAX):
        yield f"table {table}, row {row}: what it names in {parent} is not there"


def _unreadable(database: sqlite3.Connection, reads: Reads) -> Iterator[str]:
    for table, _ in _tables(database):
        columns = _columns(database, table)
        if {"kind", "content"} <= columns:
            yield from _of_kind(database, table, reads)
        elif table == "stored" and "value" in columns:
            yield from _of_registry(database, reads)


def _of_kind(database: sqlite3.Connection, table: str, reads: Reads) -> Iterator[str]:
    key = _key(database, table)
    words = ("SELECT", quoted(key), ", kind, content FROM", quoted(table))
    rows = database.execute(" ".join(words))
    for name, kind, content in rows:
        if reads(str(kind), content) is False:
            yield f"table {table}, {key} {name}: is no {kind}"


def _of_registry(database: sqlite3.Connection, reads: Reads) -> Iterator[str]:
    for key, value in database.execute("SELECT key, value FROM stored"):
        try:
            stored = StoredValue.FromString(value)
        except DecodeError:
            yield f"table stored, key {key}: is no value of a registry"
            continue
        if reads(stored.schema, stored.content) is False:
            yield f"table stored, key {key}: is no {stored.schema}"


def _unchained(database: sqlite3.Connection, noted: Head | None) -> Iterator[str]:
    head = head_of(database)
    if head is None:
        return
    verifier = Verifier(noted)
    rows = database.execute("SELECT * FROM events ORDER BY position")
    try:
        broken = verifier.take(map(event_of, rows)) or verifier.done(head)
    except Failure as error:
        yield f"table events, behind position {verifier.head.position}: {error}"
        return
    if broken is not None:
        yield f"table events, position {broken.position}: {broken.cause}"


def _counted(database: sqlite3.Connection, table: str) -> int:
    (count,) = database.execute(" ".join(("SELECT count(*) FROM", quoted(table)))).fetchone()
    return int(count)


def _tables(database: sqlite3.Connection) -> list[tuple[str, str]]:
    found = database.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    )
    return [(name, made or "") for name, made in found if not name.startswith(_OWN)]


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({quoted(table)})")}


def _key(database: sqlite3.Connection, table: str) -> str:
    """The column that tells one row from the others: the first of its key, or its number."""
    rows = database.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    return next((str(row[1]) for row in rows if row[5] == 1), "rowid")
