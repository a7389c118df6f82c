"""Ingests at work: each document of each is read in a worker, and filed with what is noted of it
in one transaction, so that a kill at any moment does nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from services.memory.knowledge_base import folders, ledger, shelf, turns
from services.memory.knowledge_base.ledger import Entry, Item
from services.memory.knowledge_base.library import Library
from services.memory.knowledge_base.reading import Text
from services.memory.knowledge_base.shelf import Filed
from services.memory.knowledge_base.sources import Sources
from tandem.memory.v1 import ingest_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable

_LOGGER = logging.getLogger("services.memory")
_AGAIN_S: Final = 2.0
_REMOVED_AT_ONCE: Final = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Watched:
    """Who waits for news of something, by its key."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def watching(self, key: int) -> Iterator[asyncio.Event]:
        news = asyncio.Event()
        self._waiting[key].add(news)
        try:
            yield news
        finally:
            self._waiting[key].discard(news)
            if not self._waiting[key]:
                del self._waiting[key]

    def tell(self, key: int) -> None:
        for news in self._waiting.get(key, ()):
            news.set()


class Intake:
    """`run` works on all ingests in turn, a document of each at a time."""

    def __init__(self, library: Library, sources: Sources, clock: Clock) -> None:
        self.watched = Watched()
        self._library, self._sources = library, sources
        self._clock = clock
        self._due = asyncio.Event()
        self._filed: list[Callable[[], None]] = []

    def when_filed(self, told: Callable[[], None]) -> None:
        """Whom passages concern."""
        self._filed.append(told)

    def go_on(self) -> None:
        """There is something to do."""
        self._due.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                while keys := await self._library.read(turns.due):
                    for key in keys:
                        await self._step(key)
                        self.watched.tell(key)
            except Unreachable as error:
                log.event(_LOGGER, logging.WARNING, "ingest.waits", cause=str(error))
                await self._clock.sleep(_AGAIN_S)
                self._due.set()

    async def _step(self, key: int) -> None:
        """One document, or what comes before the first and behind the last."""
        one, item = await self._library.read(
            lambda database: (ledger.entry(database, key), ledger.next_item(database, key))
        )
        if one is None or not one.is_running:
            return
        try:
            if not one.is_listed:
                await self._list(one)
            elif item is not None:
                await self._take(one, item)
            else:
                await self._finish(one)
        except (folders.FolderRefused, folders.FolderMissing, folders.TooMany) as error:
            await self._end(one, nouns.INGEST_STATE_FAILED)
            log.event(_LOGGER, logging.WARNING, "ingest.failed", why=error.message)

    async def _list(self, one: Entry) -> None:
        items = await self._sources.listed(one)

        def write(database: sqlite3.Connection) -> None:
            if _still(database, one):
                ledger.listed(database, one.key, items)

        await self._library.write(write)

    async def _take(self, one: Entry, item: Item) -> None:
        try:
            item = await self._sources.filled(one, item)
        except folders.FileGone:
            await self._file(one, item, nouns.DOCUMENT_FAULT_GONE)
            return
        except folders.FileTooLarge:
            await self._file(one, item, nouns.DOCUMENT_FAULT_TOO_LARGE)
            return
        filed = self._filed_as(one, item)
        if await self._library.read(lambda database: shelf.is_unchanged(database, filed)):
            await self._file(one, item, None)
            return
        await self._file(one, item, await self._sources.text(item))

    async def _file(self, one: Entry, item: Item, outcome: Text | int | None) -> None:
        filed = self._filed_as(one, item)

        def write(database: sqlite3.Connection) -> bool:
            if not _still(database, one) or not ledger.is_open(database, one.key, item):
                return False
            if isinstance(outcome, Text):
                ledger.done(database, one.key, item, shelf.put(database, filed, outcome))
                return True
            if outcome is None:
                shelf.file_again(database, filed)
            ledger.done(database, one.key, item, outcome)
            return False

        if await self._library.write(write):
            self._tell_filed()

    def _filed_as(self, one: Entry, item: Item) -> Filed:
        return Filed(
            space=one.space,
            id=item.document,
            uri=item.uri,
            folder=one.folder,
            path=item.path,
            content_hash=hashlib.sha256(item.media_type.encode() + item.content).hexdigest(),
            subjects=item.subjects,
            labels=item.labels,
            now_us=self._now_us(),
        )

    async def _finish(self, one: Entry) -> None:
        removed = await self._remove_gone(one) if one.folder else 0
        await self._end(one, nouns.INGEST_STATE_DONE)
        # What an earlier life of the ingest removed is counted in it.
        if one.changed or one.removed or removed:
            await self._library.scrub()

    async def _remove_gone(self, one: Entry) -> int:
        found = await self._library.read(lambda database: list(ledger.gone(database, one)))
        found = [(key, path) for key, path in found if folders.selects(one.patterns, path)]
        # What came since it was listed others may have taken in.
        there = await self._sources.there(one) if found else frozenset()
        keys = [key for key, path in found if path not in there]
        for start in range(0, len(keys), _REMOVED_AT_ONCE):
            part = keys[start : start + _REMOVED_AT_ONCE]
            await self._library.write(partial(_remove, one=one, keys=part))
            self._tell_filed()
        return len(keys)

    async def _end(self, one: Entry, state: int) -> None:
        now_us = self._now_us()

        def write(database: sqlite3.Connection) -> None:
            if _still(database, one):
                ledger.end(database, one, state, now_us)

        await self._library.write(write)

    def _tell_filed(self) -> None:
        for told in self._filed:
            told()

    def _now_us(self) -> int:
        return (self._clock.now() - EPOCH) // timedelta(microseconds=1)


def _still(database: sqlite3.Connection, one: Entry) -> bool:
    """Whether nobody has cancelled it meanwhile."""
    found = ledger.entry(database, one.key)
    return found is not None and found.is_running


def _remove(database: sqlite3.Connection, one: Entry, keys: list[int]) -> None:
    if not _still(database, one):
        return
    for key in keys:
        shelf.drop(database, key)
    said = "UPDATE ingests SET removed = removed + ? WHERE key = ?"
    database.execute(said, (len(keys), one.key))
