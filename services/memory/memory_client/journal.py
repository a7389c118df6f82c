"""Writes on their way to the orchestrator: on disk before anybody is told, in memory to be read.

No outbox (`tandemkit.storage.outbox`): that gives up the oldest where it is full and forgets by
number, while here a full journal refuses and one refused write holds up its memory alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from services.memory.memory_client import refusal
from tandem.memory.v1.journal_pb2 import (
    JOURNAL_STATE_REFUSED,
    JOURNAL_STATE_WAITING,
    JournalEntry,
)
from tandemkit.hosting.news import News
from tandemkit.storage.failure import Damaged
from tandemkit.storage.group_commit import GroupCommit, singly
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.supervise.tasks import Tasks

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    content BLOB NOT NULL
) STRICT;
"""
_NUMBERS: Final = "SELECT number FROM journal ORDER BY number"
_ONE: Final = "SELECT content FROM journal WHERE number = ?"
_PUT: Final = "INSERT INTO journal (content) VALUES (?)"
_CHANGE: Final = "UPDATE journal SET content = ? WHERE number = ?"
_FORGET: Final = "DELETE FROM journal WHERE number = ?"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of all writes that are in the journal together."""

    writes_max: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class _Change:
    """On disk, and then in memory."""

    write: Callable[[sqlite3.Connection], int]
    show: Callable[[int], None]


_Commit: TypeAlias = GroupCommit[_Change, int]


class Journal:
    """From `journal`. Raises what the disk raises; then it is not known whether a change happened,
    and the same may be tried again.
    """

    def __init__(self, database: Connection, bounds: Bounds, news: News) -> None:
        """`news` hears of each change."""
        self._database, self._bounds, self._news = database, bounds, news
        self._group: _Commit = GroupCommit(singly(self._commit, Damaged))
        self.run = self._group.run
        self._entries: dict[int, JournalEntry] = {}
        self._by_name: dict[str, list[int]] = {}
        self._unanswered: Counter[int] = Counter()
        self.size_bytes = 0
        # Writes of an earlier life that nobody can read, and so nobody sends.
        self.unreadable = 0
        # How often something was taken away; an earlier life may have left some of that.
        self._taken, self._scrubbed = 1, 0
        # Set while something may be ready to be sent.
        self.filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    async def restore(self) -> None:
        """What an earlier life journaled, but for what cannot be read: that stays in the file."""
        for number, entry in await self._database.do(_kept):
            if entry is None:
                self.unreadable += 1
            else:
                self._show(entry, number)

    def entries(self) -> list[JournalEntry]:
        """All, in the order of their numbers."""
        return list(self._entries.values())

    def found(self, number: int) -> JournalEntry | None:
        return self._entries.get(number)

    def of(self, name: str) -> list[JournalEntry]:
        """Those of a memory, in their order."""
        return [self._entries[number] for number in self._by_name.get(name, ())]

    def names(self, namespace: str) -> list[str]:
        """Memories of it that have any."""
        return [one for one in self._by_name if one.startswith(f"namespaces/{namespace}/")]

    def heads(self, limit: int) -> list[JournalEntry]:
        """Of each memory the write that is next, the oldest first; those behind the others that
        went unanswered, so that one of them stops nobody. None of a memory that waits for a
        decision.
        """
        first = (self._entries[numbers[0]] for numbers in self._by_name.values())
        waiting = (one for one in first if one.state == JOURNAL_STATE_WAITING)
        return nsmallest(limit, waiting, key=lambda one: (self._unanswered[one.number], one.number))

    def unanswered(self, number: int) -> None:
        """It was sent, and nobody said what became of it."""
        self._unanswered[number] += 1

    async def put(self, entry: JournalEntry) -> JournalEntry:
        """As it is kept, with its number. Raises CallerError where there is no room."""
        size_bytes = self.size_bytes + entry.ByteSize()
        if len(self) >= self._bounds.writes_max or size_bytes > self._bounds.bytes_max:
            raise refusal.full(len(self), self.size_bytes)
        kept = copy_of(entry)
        kept.state = JOURNAL_STATE_WAITING
        content = kept.SerializeToString(deterministic=True)

        def write(database: sqlite3.Connection) -> int:
            return int(database.execute(_PUT, (content,)).lastrowid or 0)

        await self._group.do(_Change(write, lambda number: self._show(kept, number)))
        return kept

    async def change(self, entry: JournalEntry) -> None:
        """What becomes of it. One that is gone stays so."""
        row = entry.SerializeToString(deterministic=True), entry.number

        def write(database: sqlite3.Connection) -> int:
            return database.execute(_CHANGE, row).rowcount

        await self._group.do(_Change(write, lambda _changed: self.hold(entry)))

    async def forget(self, numbers: Iterable[int], changed: JournalEntry | None = None) -> None:
        """Takes them away; `changed` is another one that changes in the same step."""
        gone = [(number,) for number in numbers]

        def write(database: sqlite3.Connection) -> int:
            if changed is not None:
                content = changed.SerializeToString(deterministic=True)
                database.execute(_CHANGE, (content, changed.number))
            return database.executemany(_FORGET, gone).rowcount

        def show(_forgotten: int) -> None:
            self._taken += 1
            for (number,) in gone:
                self._hide(number)
            if changed is not None:
                self._replace(changed)
            self._tell()

        await self._group.do(_Change(write, show))

    def hold(self, entry: JournalEntry) -> None:
        """What becomes of it in this life alone: for what the disk does not take."""
        self._replace(entry)
        self._tell()

    async def scrub(self) -> None:
        """What was taken away is in no file any more."""
        if (taken := self._taken) > self._scrubbed:
            await self._database.scrub()
            self._scrubbed = max(self._scrubbed, taken)

    async def _commit(self, batch: Sequence[_Change]) -> Sequence[int]:
        """What is on disk shows at once, whether or not its caller is still there: a later write
        must see it.
        """
        done = await self._database.do(lambda database: [one.write(database) for one in batch])
        for one, answer in zip(batch, done, strict=True):
            one.show(answer)
        return done

    def _show(self, entry: JournalEntry, number: int) -> None:
        entry.number = number
        self._entries[number] = entry
        self.size_bytes += entry.ByteSize()
        self._by_name.setdefault(entry.name, []).append(number)
        self._tell()

    def _replace(self, entry: JournalEntry) -> None:
        known = self._entries.get(entry.number)
        if known is not None:
            self.size_bytes += entry.ByteSize() - known.ByteSize()
            self._entries[entry.number] = copy_of(entry)

    def _hide(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        del self._unanswered[number]
        self.size_bytes -= entry.ByteSize()
        self._by_name[entry.name].remove(number)
        if not self._by_name[entry.name]:
            del self._by_name[entry.name]

    def _tell(self) -> None:
        self.filled.set()
        self._news.set()


def _kept(database: sqlite3.Connection) -> list[tuple[int, JournalEntry | None]]:
    """None for what cannot be read or is no write."""
    return [(number, _entry(database, number)) for (number,) in database.execute(_NUMBERS)]


def _entry(database: sqlite3.Connection, number: int) -> JournalEntry | None:
    try:
        (content,) = database.execute(_ONE, (number,)).fetchone()
        entry = JournalEntry.FromString(content)
    except (sqlite3.DatabaseError, DecodeError):
        return None
    return entry if entry.WhichOneof("write") else None


def copy_of(entry: JournalEntry) -> JournalEntry:
    copied = JournalEntry()
    copied.CopyFrom(entry)
    return copied


def is_refused(entry: JournalEntry) -> bool:
    return entry.state == JOURNAL_STATE_REFUSED


@asynccontextmanager
async def journal(path: Path, bounds: Bounds, news: News) -> AsyncIterator[Journal]:
    """The journal in this file. Raises InUse, Damaged, Unreachable."""
    with owned(path):
        database = await asyncio.to_thread(Connection, path, _SCHEMA)
        try:
            found = Journal(database, bounds, news)
            await found.restore()
            async with Tasks() as tasks:
                tasks.spawn("journal:commit", found.run())
                yield found
        finally:
            database.close()
