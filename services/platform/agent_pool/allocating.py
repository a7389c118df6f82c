"""Gives instances slots, and takes them back. What is to be is written first, and done then; what
a death comes between is done by whoever tends: `tending`.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.platform.agent_pool import refusal
from services.platform.agent_pool.books import ACTIVE, SUSPENDED
from services.platform.agent_pool.placing import Placing, Scene
from tandem.platform.v1.allocation_pb2 import Allocation
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.supervise.errands import Errands


@dataclass(frozen=True, slots=True)
class Given:
    """What an allocation came to."""

    allocation: Allocation
    was_so_already: bool = False
    resumed: bool = False


class Allocating:
    """What is begun goes on if nobody waits for it any more."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._errands = Errands()
        self._placing = Placing(scene)

    async def end(self) -> None:
        await self._errands.end(grace_s=0)

    async def allocate(self, asked: Allocation) -> Given:
        """A slot for it, as CallerError or TransientError where there is none."""
        return await self._errands.finished(self._allocate(asked))

    async def release(self, name: str) -> bool:
        """Returns whether there was none."""
        return await self._errands.finished(self._release(name))

    async def suspend(self, name: str) -> Allocation:
        """Takes its slot. Raises CallerError for one that is not allocated."""
        return await self._errands.finished(self._suspend(name))

    async def serve_again(self, name: str) -> str:
        """Has the host serve it that should, or another one where that is gone; returns why that
        could not be, for people.
        """
        scene = self._scene
        async with scene.turns.of(name):
            known = scene.books.by_name.get(name)
            if known is None or known.state == SUSPENDED or scene.hosts.has(known.host, name):
                return ""
            wanted = scene.books.copy(name)
            try:
                await self._placing.place(wanted, may_suspend=False)
            except (CallerError, TransientError) as error:
                return str(error)
            return ""

    async def _allocate(self, asked: Allocation) -> Given:
        scene = self._scene
        async with scene.turns.of(asked.name):
            known = scene.books.by_name.get(asked.name)
            if known is None and len(scene.books.by_name) >= scene.allocations_max:
                raise refusal.full(scene.allocations_max)
            if known is not None and known.service != asked.service:
                raise refusal.differs(known.name, known.service)
            wanted = self._wanted(asked, known)
            self._placing.give(asked.name)
            if known is not None and self._is_there(known):
                if wanted != known:
                    await self._placing.write(wanted)
                return Given(wanted, was_so_already=True)
            try:
                await self._placing.place(wanted, may_suspend=True)
            except (CallerError, TransientError):
                await self._take_back(wanted, known)
                raise
            return Given(wanted, resumed=known is not None and known.state == SUSPENDED)

    def _is_there(self, one: Allocation) -> bool:
        return one.state == ACTIVE and self._scene.hosts.has(one.host, one.name)

    def _wanted(self, asked: Allocation, known: Allocation | None) -> Allocation:
        now = self._scene.clock.now()
        wanted = Allocation()
        wanted.CopyFrom(known or asked)
        if known is None:
            wanted.allocate_time.FromDatetime(now)
        wanted.pool, wanted.pinned = asked.pool, asked.pinned
        wanted.ClearField("lease")
        wanted.ClearField("expire_time")
        if asked.HasField("lease"):
            wanted.lease.CopyFrom(asked.lease)
            wanted.expire_time.FromDatetime(now + asked.lease.ToTimedelta())
        return wanted

    async def _take_back(self, wanted: Allocation, known: Allocation | None) -> None:
        """What could not be placed is as it was: one that had a slot is tended to."""
        if known is None:
            if wanted.name in self._scene.books.by_name:
                with refusal.storing():
                    await self._scene.books.forget(wanted.name)
        elif known.state == SUSPENDED:
            await self._placing.write(known)

    async def _release(self, name: str) -> bool:
        scene = self._scene
        async with scene.turns.of(name):
            known = scene.books.by_name.get(name)
            if known is None:
                return True
            with refusal.storing():
                await scene.books.forget(name)
            self._placing.forget(name)
            await self._placing.vacate(known)
            return False

    async def _suspend(self, name: str) -> Allocation:
        scene = self._scene
        async with scene.turns.of(name):
            if name not in scene.books.by_name:
                raise refusal.unknown(name)
            wanted = scene.books.copy(name)
            if wanted.state != SUSPENDED:
                wanted.state = SUSPENDED
                wanted.suspensions += 1
                await self._placing.write(wanted)
                await self._placing.vacate(wanted)
            return wanted
