"""Assignments: who has which task, for how long, and what becomes of it when a worker is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from services.tasks.assignment import refusal
from services.tasks.assignment.fleet import NotKnown
from services.tasks.assignment.seating import Seating
from tandem.tasks.v1.assignment_pb2 import AssignedTask, Assignment
from tandem.tasks.v1.assignment_service_pb2 import AssignTasksRequest
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.news import News
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.failure import Refused as WorkerRefused
from tandemkit.storage.state.owned import State
from tandemkit.supervise.terms import Terms

PREFIX: Final = "assignments/"
_BANDWIDTH, _TERM_S = 100_000_000, 600
_SETTLE_S = 0.5
_LOGGER = logging.getLogger("services.tasks.assignment")


class Desk:
    """The store has every assignment that was answered. One change at a time: what a worker takes
    on shows in what the next one may ask of it.
    """

    def __init__(self, state: State, seating: Seating, clock: Clock) -> None:
        self._state, self._seating, self._clock = state, seating, clock
        self._kept: dict[str, Assignment] = {}
        self._terms = Terms(clock)
        self._changing = asyncio.Lock()
        self._stir = asyncio.Event()
        self.news = News()

    async def restore(self) -> None:
        """What an earlier life assigned; each term begins anew, for nobody could renew."""
        async for name, assignment in self._state.all(PREFIX, Assignment):
            self._kept[name] = assignment
            self._begin(assignment)
        self.stir()

    def stir(self) -> None:
        """Somebody came or went."""
        self._stir.set()

    def found(self, name: str) -> Assignment:
        """Raises CallerError."""
        if name not in self._kept:
            raise refusal.not_found(name)
        return self._kept[name]

    async def assign(self, request: AssignTasksRequest) -> Assignment:
        """Raises CallerError, NotKnown, and what the store raises."""
        name = PREFIX + request.assignment_id
        async with self._changing:
            known = self._kept.get(name)
            if known is not None:
                if not _is_same(known, request):
                    raise refusal.exists(name)
                return self._begin(known)
            made = _new(name, request)
            workers = list(self._seating.workers(made).values())
            for task in request.tasks:
                refusal.check_capable(task, workers)
            without = await self._seating.seat(made, made.tasks, self._others(name))
            if without:
                raise refusal.full(without, len(workers))
            await self._write(made)
            return self._begin(made)

    async def complete(self, name: str, task_ids: Iterable[str]) -> Assignment:
        """Raises CallerError, and what the store raises."""
        done = set(task_ids)
        async with self._changing:
            changed = _copy(self.found(name))
            left = [one for one in changed.tasks if one.task.id not in done]
            if len(left) < len(changed.tasks):
                del changed.tasks[:]
                changed.tasks.extend(left)
                await self._write(changed)
                # Those who waited for room may have it now.
                self.stir()
            return self._begin(self._kept[name])

    def renew(self, name: str) -> Assignment:
        """Raises CallerError."""
        return self._begin(self.found(name))

    async def release(self, name: str) -> None:
        """Raises what the store raises."""
        async with self._changing:
            await self._drop([name])

    async def lose(self, name: str, worker: str) -> Assignment:
        """Raises CallerError, and what the store raises."""
        async with self._changing:
            changed = _copy(self.found(name))
            if worker not in self._seating.workers(changed) or not changed.workers:
                return changed
            changed.lost.append(worker)
            return await self._move(changed)

    async def heed(self) -> None:
        """Assigns anew what lost its worker, and what waits for one, until cancelled."""
        while True:
            await self._stir.wait()
            # An agent that is built again in its host is back by then.
            await self._clock.sleep(_SETTLE_S)
            self._stir.clear()
            try:
                for name in tuple(self._kept):
                    async with self._changing:
                        if name in self._kept and self._lacking(self._kept[name]):
                            await self._move(_copy(self._kept[name]))
            except NotKnown:
                # Whoever comes to know stirs again.
                continue
            except (Unreachable, Refused, WorkerRefused) as error:
                log.event(_LOGGER, logging.WARNING, "assignments.not_moved", cause=str(error))
                self._stir.set()

    async def expire(self) -> None:
        """Ends what nobody renewed, until cancelled."""
        while True:
            over = await self._terms.ended()
            async with self._changing:
                await self._drop([name for name in over if self._terms.left_s(name) <= 0])

    async def _move(self, changed: Assignment) -> Assignment:
        lacking = self._lacking(changed)
        for one in lacking:
            one.losses += bool(one.worker)
            one.ClearField("worker")
        await self._seating.seat(changed, lacking, self._others(changed.name))
        if changed != self._kept[changed.name]:
            await self._write(changed)
        return changed

    def _others(self, name: str) -> list[Assignment]:
        return [one for one in self._kept.values() if one.name != name]

    def _lacking(self, assignment: Assignment) -> list[AssignedTask]:
        """Tasks whose worker is none, or not there."""
        workers = self._seating.workers(assignment)
        return [one for one in assignment.tasks if one.worker not in workers]

    async def _write(self, changed: Assignment) -> None:
        """On disk first: who hears of it may act on it."""
        changed.version += 1
        await self._state.put(changed.name, changed)
        self._kept[changed.name] = changed
        self.news.set()

    def _begin(self, assignment: Assignment) -> Assignment:
        """Its term, from now on."""
        assignment.expire_time.FromDatetime(self._clock.now() + assignment.term.ToTimedelta())
        self._terms.begin(assignment.name, assignment.term.ToNanoseconds() / 1e9)
        return assignment

    async def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._kept:
                await self._state.delete(name)
                del self._kept[name]
            self._terms.drop(name)
        # What they had is free for who waits.
        self.stir()
        self.news.set()


def _new(name: str, request: AssignTasksRequest) -> Assignment:
    made = Assignment(name=name, workers=request.workers)
    made.bandwidth = request.bandwidth or _BANDWIDTH
    made.term.FromSeconds(_TERM_S)
    if request.HasField("term"):
        made.term.CopyFrom(request.term)
    for task in request.tasks:
        made.tasks.add(task=task)
    return made


def _is_same(known: Assignment, request: AssignTasksRequest) -> bool:
    """What was completed since is not there any more."""
    asked = {task.id: task for task in request.tasks}
    return all(asked.get(one.task.id) == one.task for one in known.tasks) and list(
        known.workers
    ) == list(request.workers)


def _copy(assignment: Assignment) -> Assignment:
    copied = Assignment()
    copied.CopyFrom(assignment)
    return copied
