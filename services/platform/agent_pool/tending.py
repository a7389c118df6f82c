"""Keeps what is so as it is wanted: after the death of a host, of this agent, or of a lease."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from services.platform.agent_pool.allocating import Allocating
from services.platform.agent_pool.placing import Scene
from tandem.control.v1 import registration_pb2 as control
from tandem.platform.v1.allocation_pb2 import Allocation
from tandemkit.core import log
from tandemkit.core.errors import TransientError
from tandemkit.machine.asking import HostRefused
from tandemkit.supervise.alarm import Alarm

_PAUSE_S, _PAUSE_S_MAX = 0.5, 30.0
_LOGGER = logging.getLogger("services.platform.agent_pool")


class Tending:
    """Looks again whenever the fleet changed, and when something is due; else it sleeps."""

    def __init__(self, scene: Scene, allocating: Allocating, away_max_s: float) -> None:
        self._scene, self._allocating, self._away_max_s = scene, allocating, away_max_s
        # Of instances that could not be served: how often in a row, and when to try again.
        self._failures: dict[str, int] = {}
        self._again_s: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        hosts, clock = self._scene.hosts, self._scene.clock
        with hosts.news.heard() as changed:
            alarm = Alarm(clock, changed.set)
            try:
                while True:
                    changed.clear()
                    await self.round()
                    alarm.set_to(self._due_s())
                    await changed.wait()
            finally:
                await alarm.end()

    async def round(self) -> None:
        """Does what is to be done now."""
        scene = self._scene
        now = scene.clock.now()
        for one in tuple(scene.books.by_name.values()):
            if one.HasField("expire_time") and one.expire_time.ToDatetime(now.tzinfo) <= now:
                with suppress(TransientError):
                    await self._allocating.release(one.name)
        lost = [one for one in scene.books.with_slot() if self._is_lost(one)]
        await asyncio.gather(*map(self._serve_again, lost))
        hosts = [one for one in scene.hosts.by_name.values() if scene.pools.of_host(one)]
        await asyncio.gather(*map(self._clear, hosts))

    def _is_lost(self, one: Allocation) -> bool:
        scene = self._scene
        if scene.hosts.has(one.host, one.name) or scene.turns.is_taken(one.name):
            return False
        now_s = scene.clock.monotonic_s()
        return self._away_until_s(one) <= now_s and self._again_s.get(one.name, 0.0) <= now_s

    def _away_until_s(self, one: Allocation) -> float:
        """Until when its host is waited for; its supervisor starts it again."""
        hosts = self._scene.hosts
        if one.host in hosts.by_name or not one.host:
            return 0.0
        gone_s = hosts.gone_s.setdefault(one.host, self._scene.clock.monotonic_s())
        return gone_s + self._away_max_s

    async def _serve_again(self, one: Allocation) -> None:
        why = await self._allocating.serve_again(one.name)
        if not why:
            self._failures.pop(one.name, None)
            self._again_s.pop(one.name, None)
            return
        failures = self._failures[one.name] = self._failures.get(one.name, 0) + 1
        if failures == 1:
            log.event(_LOGGER, logging.WARNING, "pool.unserved", agent=one.name, cause=why)
        pause_s = min(_PAUSE_S_MAX, _PAUSE_S * 2.0 ** min(failures - 1, 10))
        self._again_s[one.name] = self._scene.clock.monotonic_s() + pause_s
        self._scene.books.blame(one.name, why)

    async def _clear(self, host: control.Host) -> None:
        """Ends what was added there and has no slot there: what a death came between."""
        scene = self._scene
        wanted = {one.name for one in scene.books.on(host.name)}
        if {one.instance for one in host.placements if one.instance} <= wanted:
            return
        address = scene.hosts.address(host.name)
        with suppress(HostRefused):
            for added in await scene.guests.look(address):
                is_wanted = added.name in {one.name for one in scene.books.on(host.name)}
                if not is_wanted and not scene.turns.is_taken(added.name):
                    await scene.guests.remove(address, added.name)

    def _due_s(self) -> float | None:
        """When something is to be done without a word from anybody."""
        clock, books = self._scene.clock, self._scene.books
        now, now_s = clock.now(), clock.monotonic_s()
        ends = (
            now_s + (one.expire_time.ToDatetime(now.tzinfo) - now).total_seconds()
            for one in books.by_name.values()
            if one.HasField("expire_time")
        )
        lost = (
            max(self._away_until_s(one), self._again_s.get(one.name, 0.0))
            for one in books.with_slot()
            if not self._scene.hosts.has(one.host, one.name)
        )
        return min((*ends, *lost), default=None)
