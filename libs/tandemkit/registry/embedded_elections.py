"""Elections of the embedded registry: who leads is on disk, for how long is in memory."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from tandemkit.core.clock import Clock
from tandemkit.registry.embedded_store import Store
from tandemkit.registry.protocol import Leadership, LeadershipLost


@dataclass(slots=True)
class _Led:
    leadership: Leadership
    deadline_s: float


class Elections:
    """A token is on disk before anybody learns it. After a restart whoever led has one whole time
    to live, so that nobody is elected beside a leader who is well.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._turn = asyncio.Lock()
        self._led: dict[str, _Led] = {}
        for leadership in store.leaders():
            self._lead(leadership)

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        # Cancelled halfway, the disk would know a leader that memory does not.
        return await asyncio.shield(self._elect(election, candidate, ttl_s))

    async def _elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        async with self._turn:
            led = self._led.get(election)
            is_free = led is None or led.deadline_s <= self._clock.monotonic_s()
            if led is not None and not is_free and led.leadership.candidate != candidate:
                return None
            elected = await self._store.durably(
                lambda: self._store.elect(election, candidate, ttl_s)
            )
            self._lead(elected)
            return elected

    def keep(self, leadership: Leadership) -> None:
        """Touches no disk."""
        led = self._led.get(leadership.election)
        now_s = self._clock.monotonic_s()
        if led is None or led.leadership.token != leadership.token or led.deadline_s <= now_s:
            raise LeadershipLost
        led.deadline_s = now_s + leadership.ttl_s

    async def resign(self, leadership: Leadership) -> None:
        led = self._led.get(leadership.election)
        if led is not None and led.leadership.token == leadership.token:
            led.deadline_s = -math.inf
            await self._store.durably(lambda: self._store.resign(leadership))

    def _lead(self, leadership: Leadership) -> None:
        deadline_s = self._clock.monotonic_s() + leadership.ttl_s
        self._led[leadership.election] = _Led(leadership, deadline_s)
