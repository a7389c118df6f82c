"""Where ingests are accepted, told of, ended and begun again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final

from services.memory.knowledge_base import ledger, names, refusal, turns
from services.memory.knowledge_base.folders import Jail
from services.memory.knowledge_base.intake import EPOCH, Intake
from services.memory.knowledge_base.ledger import Entry, Item, Order
from services.memory.knowledge_base.library import Library, pending_in, space_of
from services.memory.knowledge_base.shelf import space_key
from services.memory.knowledge_base.sources import document_id
from tandem.memory.v1 import document_pb2 as documents
from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandemkit.core import ids
from tandemkit.core.clock import Clock

INGESTS_MAX: Final = 64


class Desk:
    """Ingests by their names."""

    def __init__(self, library: Library, jail: Jail, intake: Intake, clock: Clock) -> None:
        self._library, self._jail, self._intake, self._clock = library, jail, intake, clock

    async def accept(self, request: pb.IngestDocumentsRequest) -> int:
        """Its key; it is on disk. The one that there is, where it was accepted before: what was
        cancelled or failed goes on.
        """
        if request.HasField("folder"):
            with refusal.of_folder():
                await asyncio.to_thread(self._jail.check, request.folder.path)
        namespace = names.namespace_of(request.namespace)
        ingest_id = request.ingest_id or ids.event_id()
        key = await self._library.write(
            lambda database: _accepted(database, request, namespace, ingest_id, self._now_us())
        )
        self._intake.go_on()
        return key

    async def accept_own(self, order: Order, namespace: str) -> int:
        """What the agent itself wants taken in, once; the key of its namespace."""

        def write(database: sqlite3.Connection) -> int:
            wanted = order.at(space_key(database, namespace))
            ledger.supersede(database, wanted, self._now_us())
            there = ledger.find(database, wanted.space, wanted.id)
            if there is None:
                ledger.accept(database, wanted, self._now_us())
            elif not there.is_running and ledger.last(database, wanted.space) != wanted.id:
                # They are again what they once were.
                ledger.forget(database, there.key)
                ledger.accept(database, wanted, self._now_us())
            return wanted.space

        space = await self._library.write(write)
        self._intake.go_on()
        return space

    async def resume(self, name: str) -> int:
        """Its key; one that has ended before its time goes on."""
        said = names.Name.parsed(name)
        entry = await self._entry(name)
        if entry.folder and not entry.is_listed and entry.state != ledger.DONE:
            with refusal.of_folder():
                await asyncio.to_thread(self._jail.check, entry.folder)

        def write(database: sqlite3.Connection) -> int:
            there = ledger.find(database, space_of(database, said.namespace), said.id)
            if there is None:
                raise refusal.no_ingest(name)
            _begin_again(database, there)
            return there.key

        key = await self._library.write(write)
        self._intake.go_on()
        return key

    async def cancel(self, name: str) -> nouns.Ingest:
        said, now_us = names.Name.parsed(name), self._now_us()

        def write(database: sqlite3.Connection) -> int:
            there = ledger.find(database, space_of(database, said.namespace), said.id)
            if there is None:
                raise refusal.no_ingest(name)
            if there.is_running:
                ledger.end(database, there, nouns.INGEST_STATE_CANCELLED, now_us)
            return there.key

        key = await self._library.write(write)
        self._intake.watched.tell(key)
        return await self.told(key, name)

    async def find(self, name: str) -> nouns.Ingest:
        return await self.told((await self._entry(name)).key, name)

    async def told(self, key: int, name: str = "") -> nouns.Ingest:
        """As it stands, with its failures."""

        def look(database: sqlite3.Connection) -> nouns.Ingest:
            entry = ledger.entry(database, key)
            if entry is None:
                raise refusal.no_ingest(name)
            (space,) = database.execute(
                "SELECT name FROM spaces WHERE key = ?", (entry.space,)
            ).fetchone()
            found = message(entry, space, pending_in(database, entry.space))
            found.failures.extend(ledger.failures(database, key))
            return found

        return await self._library.read(look)

    async def follow(self, key: int) -> AsyncIterator[nouns.Ingest]:
        """As it stands, and again with every change, until it has ended."""
        last: nouns.Ingest | None = None
        with self._intake.watched.watching(key) as news:
            while True:
                news.clear()
                now = await self.told(key)
                if now != last:
                    last = now
                    yield now
                if now.state != nouns.INGEST_STATE_RUNNING:
                    return
                await news.wait()

    async def _entry(self, name: str) -> Entry:
        said = names.Name.parsed(name)
        entry = await self._library.read(
            lambda database: ledger.find(database, space_of(database, said.namespace), said.id)
        )
        if entry is None:
            raise refusal.no_ingest(name)
        return entry

    def _now_us(self) -> int:
        return (self._clock.now() - EPOCH) // timedelta(microseconds=1)


def message(entry: Entry, namespace: str, pending: int) -> nouns.Ingest:
    """Without its failures."""
    found = nouns.Ingest(
        name=names.ingest_name(namespace, entry.id),
        state=nouns.IngestState.ValueType(entry.state),
        documents=entry.documents,
        added=entry.added,
        changed=entry.changed,
        unchanged=entry.unchanged,
        removed=entry.removed,
        failed=entry.failed,
        passages_added=entry.passages_added,
        passages_kept=entry.passages_kept,
        pending=pending,
        folder=entry.folder,
    )
    found.create_time.FromMicroseconds(entry.created_us)
    if entry.ended_us:
        found.end_time.FromMicroseconds(entry.ended_us)
    return found


def _accepted(
    database: sqlite3.Connection,
    request: pb.IngestDocumentsRequest,
    namespace: str,
    ingest_id: str,
    now_us: int,
) -> int:
    order = _order(request, space_key(database, namespace), ingest_id)
    there = ledger.find(database, order.space, ingest_id)
    if there is None:
        waiting = None if request.ingest_id else turns.waiting(database, order)
        if waiting is not None:
            return waiting
        _check_room(database)
        return ledger.accept(database, order, now_us)
    if there.digest != order.digest:
        raise refusal.id_taken(names.ingest_name(namespace, ingest_id))
    _begin_again(database, there)
    return there.key


def _begin_again(database: sqlite3.Connection, there: Entry) -> None:
    if there.state not in {ledger.RUNNING, ledger.DONE}:
        _check_room(database)
        ledger.begin_again(database, there)


def _check_room(database: sqlite3.Connection) -> None:
    if len(ledger.running(database)) >= INGESTS_MAX:
        raise refusal.full(INGESTS_MAX)


def _order(request: pb.IngestDocumentsRequest, space: int, ingest_id: str) -> Order:
    subjects = tuple(request.subjects)
    if request.HasField("folder"):
        folder = request.folder
        # One folder has one name, however it is spelled.
        path = str(PurePosixPath(folder.path))
        return Order(space, ingest_id, path, tuple(folder.patterns), subjects)
    items = tuple(_item(one, subjects) for one in request.documents.documents)
    return Order(space, ingest_id, subjects=subjects, items=items, is_listed=True)


def _item(one: pb.InlineDocument, subjects: tuple[str, ...]) -> Item:
    named = one.document_id
    if not named and one.uri:
        named = document_id("u", one.uri.encode())
    about = tuple(dict.fromkeys((*subjects, *one.subjects)))
    labels = documents.Document(labels=one.labels).SerializeToString(deterministic=True)
    return Item(
        named or document_id("c", one.content),
        one.uri,
        "",
        one.media_type,
        about,
        one.content,
        labels,
    )
