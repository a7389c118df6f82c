"""What was told before: it can be said of a call that is over what decided where it went."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from tandemkit.core.clock import Clock
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy

TELLINGS_MAX = 256
# Of all tellings together. What did not change is shared, so it is a reference for most of them.
HOSTS_MAX = 256_000


@dataclass(frozen=True, slots=True)
class Told:
    """One telling, from which all that clients heard can be made again. `revision` counts those of
    this process; `routes_version` is what clients call the routes.
    """

    revision: int
    time: datetime
    catalogue: Catalogue
    policy: TrafficPolicy
    routes_version: str


class Past:
    """The last tellings, each of which says something else than the one before."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._told: deque[Told] = deque(maxlen=TELLINGS_MAX)
        self._revision = 0

    def add(self, catalogue: Catalogue, policy: TrafficPolicy, routes_version: str) -> None:
        """What is told from now on."""
        if self._told:
            last = self._told[-1]
            if (last.catalogue, last.policy) == (catalogue, policy):
                return
        self._revision += 1
        told = Told(self._revision, self.clock.now(), catalogue, policy, routes_version)
        self._told.append(told)
        while len(self._told) > 1 and self._hosts_count() > HOSTS_MAX:
            self._told.popleft()

    @property
    def begins(self) -> datetime | None:
        """Before that nothing is known; None: nothing was told yet."""
        return self._told[0].time if self._told else None

    def at(self, moment: datetime) -> tuple[Told, datetime | None] | None:
        """What was told at a moment, and until when; None: that is not known any more."""
        number = bisect_right(self._told, moment, key=lambda one: one.time)
        if number == 0:
            return None
        until = self._told[number].time if number < len(self._told) else None
        return self._told[number - 1], until

    def _hosts_count(self) -> int:
        return sum(len(one.catalogue.hosts) for one in self._told)
