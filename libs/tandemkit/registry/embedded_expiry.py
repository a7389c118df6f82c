"""The one timer of the embedded registry: it wakes when the earliest lease may have run out."""

from __future__ import annotations

import math

from tandemkit.core.clock import Clock
from tandemkit.registry.embedded_leases import Leases
from tandemkit.supervise.tasks import Tasks

# A loop this late was stopped or starved, and what its hosts sent lies unread: no fault of theirs.
STALL_S_MIN = 0.5


class Expiry:
    """Sleeps until the earliest deadline that it knew; renewals since then let it sleep again."""

    def __init__(self, leases: Leases, clock: Clock, tasks: Tasks) -> None:
        self._leases, self._clock, self._tasks = leases, clock, tasks
        self._due_s = math.inf
        self.rearm()

    def rearm(self) -> None:
        """After a lease began: it may be the next to end."""
        earliest_s = self._leases.earliest_s()
        if earliest_s is not None and earliest_s < self._due_s:
            self._due_s = earliest_s
            self._tasks.spawn("registry.expiry", self._end_at(earliest_s))

    async def _end_at(self, due_s: float) -> None:
        await self._clock.sleep(due_s - self._clock.monotonic_s())
        if due_s != self._due_s:
            return  # A shorter lease came and has a sleeper of its own.
        self._due_s = math.inf
        now_s = self._clock.monotonic_s()
        if now_s - due_s >= STALL_S_MIN:
            self._leases.begin_anew()
        # A clock may wake a sleeper a rounding error before its time.
        self._leases.end_due(max(now_s, due_s))
        self.rearm()
