"""How long a host that comes and goes is held out: longer with each time, and never for long.

Each lapse of its lease adds one to a penalty that halves every HALF_LIFE_S. Above HOLD_ABOVE the
host is held out until the penalty has come down to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

HALF_LIFE_S = 30.0
# Two lapses are bad luck or a restart; the third within a minute is a habit.
HOLD_ABOVE = 2.0
PENALTY_MAX = 8.0
HOLD_S_MAX = HALF_LIFE_S * math.log2(PENALTY_MAX)
# A penalty this small changes nothing any more.
_FORGOTTEN_BELOW = 0.05


class Damping:
    """The penalties, by name of the host. All times are monotonic and come from the caller."""

    def __init__(self) -> None:
        # What it was, and when.
        self._penalties: dict[str, tuple[float, float]] = {}
        self._held_until_s: dict[str, float] = {}

    def lapsed(self, name: str, now_s: float) -> None:
        """Its lease ran out. A host that drains is not to be named here."""
        penalty = min(PENALTY_MAX, self._penalty(name, now_s) + 1.0)
        self._penalties[name] = penalty, now_s
        if penalty > HOLD_ABOVE:
            self._held_until_s[name] = now_s + HALF_LIFE_S * math.log2(penalty)

    def held(self, now_s: float) -> Iterator[tuple[str, float]]:
        """Who is held out now, and until when."""
        return ((name, until_s) for name, until_s in self._held_until_s.items() if until_s > now_s)

    def forget(self, now_s: float) -> None:
        """What has no effect any more."""
        self._held_until_s = dict(self.held(now_s))
        self._penalties = {
            name: one
            for name, one in self._penalties.items()
            if self._penalty(name, now_s) >= _FORGOTTEN_BELOW
        }

    def _penalty(self, name: str, now_s: float) -> float:
        penalty, then_s = self._penalties.get(name, (0.0, now_s))
        return float(penalty * 2.0 ** ((then_s - now_s) / HALF_LIFE_S))
