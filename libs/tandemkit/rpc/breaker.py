"""The circuit breaker of one method at one target: after failures in a row it sends no calls, then
one, and all again once that one is answered.
"""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass

from tandemkit.core import log
from tandemkit.core.clock import Clock

# docs/adr/0014 says why a row, and why it has to last: calls that fail together are one event.
FAILURES_MIN = 5
ROW_S_MIN = 1.0
OPEN_S_MIN = 1.0
OPEN_S_MAX = 8.0
_LOGGER = logging.getLogger("tandemkit.rpc")


@dataclass(frozen=True, slots=True)
class Patience:
    """How many failures in a row, over how long, open a breaker, and for how long: twice as long
    each time that the probe fails too.
    """

    failures_min: int = FAILURES_MIN
    row_s_min: float = ROW_S_MIN
    open_s_min: float = OPEN_S_MIN
    open_s_max: float = OPEN_S_MAX


_USUAL = Patience()


class State(enum.StrEnum):
    CLOSED = enum.auto()
    OPEN = enum.auto()
    HALF_OPEN = enum.auto()


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as an operator sees it. `open_for_s` is 0 where calls go through."""

    target: str
    method: str
    state: State
    failures: int
    open_for_s: float


class Breaker:
    """Counts failures in a row. One event loop makes it safe without a lock.

    `failures` is 0 for as long as all is well, and then there is nothing else to look at.
    """

    __slots__ = (
        "_clock",
        "_open_s",
        "_patience",
        "_since_s",
        "_until_s",
        "failures",
        "method",
        "state",
        "target",
    )

    def __init__(self, target: str, method: str, clock: Clock, patience: Patience = _USUAL) -> None:
        self.target, self.method = target, method
        self.state = State.CLOSED
        self.failures = 0
        self._clock = clock
        self._since_s = 0.0
        self._until_s = 0.0
        self._patience = patience
        self._open_s = patience.open_s_min

    def refused_for_s(self) -> float:
        """How long the next call has to wait; 0 lets it through. The one that is let through when
        the time is over is the probe: the next has to wait as long again for its result.
        """
        if self.state is State.CLOSED:
            return 0.0
        now_s = self._clock.monotonic_s()
        if now_s < self._until_s:
            return self._until_s - now_s
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN
            self._say(logging.INFO, "breaker.half_open")
        self._until_s = now_s + self._open_s
        return 0.0

    def answered(self) -> None:
        """The target did its part, whatever it said."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._open_s = self._patience.open_s_min
            self._say(logging.INFO, "breaker.closed")
        self.failures = 0

    def failed(self, cause: str) -> None:
        """Nobody was there, or nobody answered in time: `cause` is the code that says which."""
        now_s = self._clock.monotonic_s()
        if not self.failures:
            self._since_s = now_s
        self.failures += 1
        if self.state is State.HALF_OPEN:
            self._open_s = min(self._open_s * 2, self._patience.open_s_max)
            self._open(now_s, cause)
        elif (
            self.state is State.CLOSED
            and self.failures >= self._patience.failures_min
            and now_s - self._since_s >= self._patience.row_s_min
        ):
            self._open(now_s, cause)

    def view(self) -> BreakerView:
        left_s = max(0.0, self._until_s - self._clock.monotonic_s())
        open_for_s = 0.0 if self.state is State.CLOSED else left_s
        return BreakerView(self.target, self.method, self.state, self.failures, open_for_s)

    def _open(self, now_s: float, cause: str) -> None:
        self.state = State.OPEN
        self._until_s = now_s + self._open_s
        self._say(logging.WARNING, "breaker.open", cause=cause, open_for_s=self._open_s)

    def _say(self, level: int, event: str, **more: object) -> None:
        """One line for each change of state, of which there are at most two a second."""
        said = {"target": self.target, "rpc": self.method, "failures": self.failures, **more}
        log.event(_LOGGER, level, event, **said)
