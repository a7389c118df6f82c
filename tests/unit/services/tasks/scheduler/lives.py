"""Schedulers that run on a store, whom they call, and who counts what they ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from services.tasks.scheduler import course
from services.tasks.scheduler.agenda import Agenda
from services.tasks.scheduler.book import Book, wake_of
from services.tasks.scheduler.firing import Firing, Terms
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import schedule_pb2 as pb
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.protocol import Change, Changes, Entry, StateStore, Stored
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.tasks.scheduler.targets import plan

TERMS = Terms(timedelta(seconds=10), 100, 10)
DONE = calls.AgentAnswer(response=b"")


@dataclass
class Callee:
    """Answers as told; `stuck` calls never end."""

    came: list[str] = field(default_factory=list)
    stuck: bool = False

    async def check(self, *_said: object, **_more: object) -> None:
        """Whatever it is, it can be called."""

    async def call(self, _call: calls.AgentCall, key: str) -> calls.AgentAnswer:
        self.came.append(key)
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        return DONE


class Counted:
    """A store that counts who asks it, and can be away; writes wait while `held` is not set."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.asked = 0
        self.away = False
        self.writing, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()

    async def get(self, key: str) -> Stored | None:
        self._count()
        return await self._store.get(key)

    async def write(self, changes: Sequence[Change]) -> int:
        self._count()
        self.writing.set()
        await self.held.wait()
        return await self._store.write(changes)

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = 1000
    ) -> tuple[Entry, ...]:
        self._count()
        return await self._store.entries(prefix, after, limit)

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        self._count()
        return await self._store.found(keys)

    async def changed(self, since: int = 0, limit: int = 1000) -> Changes:
        self._count()
        return await self._store.changed(since, limit)

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        return await self._store.scrub(thoroughly=thoroughly, upto=upto)

    def _count(self) -> None:
        self.asked += 1
        if self.away:
            raise Unreachable("it is away")


@dataclass
class Life:
    """A scheduler that runs."""

    book: Book
    agenda: Agenda
    clock: FakeClock

    async def keep(self, schedule_id: str, **fields: object) -> None:
        record = course.new_record(f"schedules/{schedule_id}", plan(**fields), self.clock.now())
        await self.book.write(record, None)
        wake = wake_of(record)
        assert wake is not None
        self.agenda.note(wake)

    async def ended(self, schedule_id: str, count: int) -> list[pb.Firing]:
        async def look() -> list[pb.Firing]:
            kept = await self.book.get(schedule_id)
            return list(kept.record.firings) if kept else []

        return await eventually(look, lambda found: len(found) >= count)


@asynccontextmanager
async def living(
    store: StateStore, callee: Callee, clock: FakeClock, nearest_max: int = 50
) -> AsyncIterator[Life]:
    book = Book(store)
    agenda = Agenda(book, clock, nearest_max)
    firing = Firing(book, agenda, callee, clock, TERMS)
    async with Tasks() as tasks:
        tasks.spawn("fire", firing.run())
        tasks.spawn("renew", firing.renew())
        yield Life(book, agenda, clock)
        await tasks.end()
        await agenda.end()
