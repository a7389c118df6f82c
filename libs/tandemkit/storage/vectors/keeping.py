"""The engines that are in memory: read when first needed, built behind the searches, and never more
of them than the memory allows.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from tandemkit.core import log
from tandemkit.core.errors import Failure
from tandemkit.storage.vectors import rows
from tandemkit.storage.vectors.engines import Engine
from tandemkit.storage.vectors.matrix import Numbers, Rows
from tandemkit.storage.vectors.protocol import CollectionMissing, Index, Plan
from tandemkit.storage.vectors.rows import Change
from tandemkit.storage.vectors.shelf import Held, Shelf
from tandemkit.supervise.tasks import Tasks

T = TypeVar("T")
# How many the lists of an IVF are learned from, and how many are added without a search between.
_LEARNED_ROWS, _BUILT_ROWS, _ADDED_ROWS = 40_000, 1000, 100
# An index is saved again when so much of it is new.
_SAVED_SHARE, _SAVED_MIN = 0.1, 1000
_LOGGER = logging.getLogger("tandemkit.storage")


class Files(Protocol):
    """What stands in SQLite."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T: ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T: ...

    async def between(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does `work` while nobody writes."""


class Keeping:
    """What it awaits comes in the order of the writes, but for the building of an index."""

    def __init__(self, files: Files, shelf: Shelf, bytes_max: int, tasks: Tasks) -> None:
        self._files, self._shelf, self._tasks = files, shelf, tasks
        self._bytes_max = bytes_max
        # The one that was used last stands last.
        self._held: dict[int, Held] = {}
        self._building = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def has_room(self, plan: Plan, points: int) -> bool:
        return self._shelf.bytes_for(plan, points) <= self._bytes_max

    async def held(self, name: str, number: int, plan: Plan) -> Held:
        """With its engine, or with one being built. Raises CollectionMissing."""
        held = self._held.pop(number, None)
        if held is not None:
            self._held[number] = held
            if held.engine is None and not held.is_building:
                self._build(held)
            return held
        found: list[Held] = []

        async def load() -> None:
            found.append(await self._load(name, number, plan))

        await self._files.between(load)
        return found[0]

    async def apply(self, number: int, change: Change) -> None:
        """A write that is on disk."""
        held = self._held.get(number)
        if held is None:
            return
        held.chosen = {}
        held.points += len(change.added) - len(change.removed)
        held.changes += len(change.added)
        if held.engine is not None:
            await asyncio.to_thread(_changed, held, change)
        await self._tend(held)

    def drop(self, number: int) -> None:
        self._held.pop(number, None)
        self._shelf.forget(number)

    async def built(self) -> None:
        """Returns when no index is being built."""
        await self._idle.wait()

    async def save(self) -> None:
        """Every index that has changed."""
        for held in self._held.values():
            if held.changes:
                await self._save(held)

    async def _load(self, name: str, number: int, plan: Plan) -> Held:
        if number in self._held:
            return self._held[number]
        points = await self._files.read(lambda database: rows.count(database, number))
        if points is None:
            raise CollectionMissing(name)
        held = Held(number, plan, points)
        held.engine = await self._files.read(lambda one: self._shelf.read(one, held))
        self._held[number] = held
        await self._tend(held)
        self._make_room(held)
        return held

    async def _tend(self, held: Held) -> None:
        """Begins or saves what the collection needs by now."""
        engine = held.engine
        is_small = engine is not None and engine.is_exact
        if not held.is_building and (
            engine is None
            or engine.is_worn
            or (is_small and self._shelf.is_approximate(held.plan, held.points))
        ):
            self._build(held)
        elif held.changes > max(_SAVED_MIN, _SAVED_SHARE * held.points):
            await self._save(held)

    def _build(self, held: Held) -> None:
        held.is_building = True
        self._building += 1
        self._idle.clear()
        self._tasks.spawn(f"vectors:build:{held.number}", self._built(held))

    async def _built(self, held: Held) -> None:
        try:
            engine = self._shelf.empty(held.plan, held.points)
            last, many = 0, _LEARNED_ROWS if held.plan.index is Index.IVF else _BUILT_ROWS
            while True:
                part = await self._files.read(_behind(held.number, last, many))
                if not len(part[0]):
                    break
                await asyncio.to_thread(engine.add, *part)
                last, many = int(part[0][-1]), _BUILT_ROWS

            async def attach() -> None:
                await self._attach(held, engine)

            await self._files.between(attach)
        except Failure as error:
            # Searches go on by comparing all, and the next one has it tried again.
            log.event(_LOGGER, logging.WARNING, "vectors.index_not_built", cause=str(error))
        finally:
            held.is_building = False
            self._building -= 1
            if not self._building:
                self._idle.set()

    async def _attach(self, held: Held, engine: Engine) -> None:
        if self._held.get(held.number) is not held:
            return
        await self._files.read(lambda database: self._shelf.align(database, held, engine))
        with held.turn:
            held.engine = engine
        self._make_room(held)
        await self._save(held)

    async def _save(self, held: Held) -> None:
        digest = await asyncio.to_thread(_saved, self._shelf, held)
        if digest is not None:
            query = "UPDATE collections SET index_digest = ? WHERE number = ?"
            await self._files.write(lambda one: one.execute(query, (digest, held.number)).rowcount)

    def _make_room(self, newest: Held) -> None:
        """Lets go of those that nobody used for longest."""
        costs = {
            held: self._shelf.bytes_for(held.plan, held.points) for held in self._held.values()
        }
        used = sum(costs.values())
        for held in tuple(self._held.values()):
            if used <= self._bytes_max or held is newest:
                return
            del self._held[held.number]
            used -= costs[held]


def _behind(
    number: int, last: int, many: int
) -> Callable[[sqlite3.Connection], tuple[Numbers, Rows]]:
    return lambda database: rows.vectors(database, number, last, many)


def _changed(held: Held, change: Change) -> None:
    engine = held.engine
    assert engine is not None
    with held.turn:
        engine.remove(change.removed)
    for at in range(0, len(change.added), _ADDED_ROWS):
        part = slice(at, at + _ADDED_ROWS)
        # Between two parts a search has its turn.
        with held.turn:
            engine.add(change.added[part], change.values[part])


def _saved(shelf: Shelf, held: Held) -> bytes | None:
    with held.turn:
        return shelf.save(held)
