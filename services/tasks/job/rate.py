"""How often something happened lately."""

from __future__ import annotations

from collections import deque
from typing import Final

from tandemkit.core.clock import Clock

_MINUTE_S: Final = 60.0


class Rate:
    """How often something happened in the last minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moments: deque[float] = deque(maxlen=1_000_000)

    def add(self) -> None:
        self._moments.append(self._clock.monotonic_s())

    def last_minute(self) -> int:
        since_s = self._clock.monotonic_s() - _MINUTE_S
        while self._moments and self._moments[0] < since_s:
            self._moments.popleft()
        return len(self._moments)
