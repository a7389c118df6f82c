"""Vectors in files, for a process that owns them: what is true lies in SQLite, and the indexes that
are made of it lie beside it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from tandemkit.core.errors import Failure
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.sqlite_file import Connection, owned
from tandemkit.storage.vectors import checks, rows, searching
from tandemkit.storage.vectors.keeping import Keeping
from tandemkit.storage.vectors.protocol import (
    PAGE_POINTS_MAX,
    CollectionMissing,
    Filter,
    Full,
    Hit,
    Plan,
    Point,
    Query,
    Space,
)
from tandemkit.storage.vectors.rows import Change
from tandemkit.storage.vectors.shelf import Maker, Shelf
from tandemkit.supervise.tasks import Tasks

T = TypeVar("T")
BYTES_MAX = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Done:
    """What a write answers, and what it means for whose index. Without a change: all is gone."""

    answer: Any
    collection: int
    change: Change | None
    # What it took away has to be in no file before it is answered.
    erases: bool = True


_Write: TypeAlias = Callable[[sqlite3.Connection], _Done | Failure]
_Break: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Wish:
    """A write, or something to do between writes."""

    write: _Write | None = None
    pause: _Break | None = None


class FileVectors:
    """`tandemkit.storage.vectors.protocol.VectorStore`, from `file_vectors`."""

    remains = ""

    def __init__(self, path: Path, shelf: Shelf, bytes_max: int, tasks: Tasks) -> None:
        self._writer, self._reader = Connection(path, rows.SCHEMA), Connection(path)
        self._group: GroupCommit[_Wish, Any] = GroupCommit(self._commit)
        self.run = self._group.run
        self._shelf = shelf
        self.keeping = Keeping(self, shelf, bytes_max, tasks)
        self.read = self._reader.do
        self.write = self._writer.do

    async def create(self, name: str, plan: Plan) -> FileCollection:
        checks.check_name(name)
        checks.check_plan(plan)
        number, found = await self.write(lambda one: rows.create_collection(one, name, plan))
        checks.check_same(name, plan, found)
        return FileCollection(self, name, number, plan)

    async def open(self, name: str) -> FileCollection:
        checks.check_name(name)
        found = await self.read(lambda one: rows.find_collection(one, name))
        if found is None:
            raise CollectionMissing(name)
        return FileCollection(self, name, *found)

    async def names(self) -> tuple[str, ...]:
        return await self.read(rows.names)

    async def drop(self, name: str) -> bool:
        def drop(database: sqlite3.Connection) -> _Done | Failure:
            found = rows.find_collection(database, name)
            if found is None:
                return CollectionMissing(name)
            self._shelf.forget(found[0])
            rows.drop_collection(database, found[0])
            return _Done(True, found[0], None)

        try:
            return bool(await self.change(drop))
        except CollectionMissing:
            return False

    async def check(self) -> None:
        await self.read(rows.names)

    async def change(self, write: _Write) -> Any:
        """Together with the others that wait; what the write answers."""
        return await self._group.do(_Wish(write=write))

    async def between(self, work: _Break) -> None:
        await self._group.do(_Wish(pause=work))

    def forget_index(self, database: sqlite3.Connection, collection: int) -> None:
        """Before what it contains is gone from the collection."""
        self._shelf.forget(collection)
        query = "UPDATE collections SET index_digest = NULL WHERE number = ?"
        database.execute(query, (collection,))

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    async def _commit(self, batch: Sequence[_Wish]) -> Sequence[Any | Failure]:
        writes = [one.write for one in batch if one.write is not None]
        done = await self.write(lambda one: [write(one) for write in writes]) if writes else []
        await self._apply(done)
        if any(isinstance(one, _Done) and one.erases for one in done):
            await self._writer.scrub()
        answers = iter(done)
        return [
            _answer(next(answers)) if one.pause is None else await _paused(one.pause)
            for one in batch
        ]

    async def _apply(self, done: Sequence[_Done | Failure]) -> None:
        for one in done:
            if isinstance(one, Failure):
                continue
            if one.change is None:
                self.keeping.drop(one.collection)
            else:
                await self.keeping.apply(one.collection, one.change)


class FileCollection:
    """`tandemkit.storage.vectors.protocol.Collection`."""

    def __init__(self, store: FileVectors, name: str, number: int, plan: Plan) -> None:
        self._store, self.name, self._number, self.plan = store, name, number, plan

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        checks.check_space(self.plan.space, space)
        checks.check_points(points, self.plan)

        def write(database: sqlite3.Connection) -> _Done | Failure:
            held = rows.count(database, self._number)
            if held is None:
                return CollectionMissing(self.name)
            if not self._store.keeping.has_room(self.plan, held + len(points)):
                message = "the collection would need more memory than the store may use"
                return Full(message, collection=self.name, points=held + len(points))
            change = rows.write(database, self._number, points)
            self._forget_removed(database, change)
            return _Done(None, self._number, change, erases=False)

        await self._store.change(write)

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        checks.check_delete(ids, where)

        def remove(database: sqlite3.Connection) -> _Done | Failure:
            if rows.count(database, self._number) is None:
                return CollectionMissing(self.name)
            if where is None:
                found = rows.by_ids(database, self._number, ids)
            else:
                numbers = rows.numbers_of(database, self._number, where).tolist()
                found = list(rows.named(database, numbers))
            change = rows.remove(database, self._number, found)
            self._forget_removed(database, change)
            return _Done(len(found), self._number, change)

        return int(await self._store.change(remove))

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        checks.check_ids(ids)
        found = await self._read(lambda one: rows.by_ids(one, self._number, ids))
        by_id = {row.id: row for row in found}
        return tuple(by_id[one].point for one in ids if one in by_id)

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        checks.check_page(limit)
        checks.check_filter(where)
        found = await self._read(lambda one: rows.page(one, self._number, after, limit, where))
        return tuple(row.point for row in found)

    async def search(self, query: Query) -> tuple[Hit, ...]:
        checks.check_query(query, self.plan)
        held = await self._store.keeping.held(self.name, self._number, self.plan)
        return await self._read(lambda one: searching.best(one, held, query))

    async def count(self, where: Filter = ()) -> int:
        checks.check_filter(where)
        return await self._read(lambda one: rows.count(one, self._number, where) or 0)

    def _forget_removed(self, database: sqlite3.Connection, change: Change) -> None:
        if len(change.removed):
            self._store.forget_index(database, self._number)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raises CollectionMissing where it was dropped."""

        def there(database: sqlite3.Connection) -> T:
            if rows.count(database, self._number) is None:
                raise CollectionMissing(self.name)
            return work(database)

        return await self._store.read(there)


def _answer(done: _Done | Failure) -> Any | Failure:
    return done if isinstance(done, Failure) else done.answer


async def _paused(work: _Break) -> Failure | None:
    try:
        await work()
    except Failure as error:
        return error
    return None


@asynccontextmanager
async def file_vectors(
    path: Path, maker: Maker = Maker.EMBEDDED, bytes_max: int = BYTES_MAX
) -> AsyncIterator[FileVectors]:
    """The collections in this file, which has to be on a local disk. An index that would need more
    than `bytes_max` of memory is refused. Raises InUse, Damaged.
    """
    with owned(path):
        shelf = Shelf(path, maker)
        async with Tasks() as tasks:
            store = await asyncio.to_thread(FileVectors, path, shelf, bytes_max, tasks)
            try:
                await store.read(shelf.sweep)
                tasks.spawn("vectors:commit", store.run())
                yield store
            finally:
                await tasks.end()
                await store.keeping.save()
                store.close()
