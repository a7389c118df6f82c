"""Who falls with whom, how soon a child is started again, and when a supervisor gives up."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

from tandemkit.core.errors import Bug


class Strategy(enum.Enum):
    """Which children are stopped and started again with one that failed."""

    # It alone: the children do not know of each other.
    ONE_FOR_ONE = "one_for_one"
    # It and those behind it: each child needs those before it.
    REST_FOR_ONE = "rest_for_one"
    # All: none is of use without the others.
    ONE_FOR_ALL = "one_for_all"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from failure to failure, less up to `jitter` of each by chance."""

    first_s: float = 0.05
    most_s: float = 5.0
    jitter: float = 0.5

    def wait_s(self, failures: int, drawn: float) -> float:
        """Before the start behind so many failures in a row; `drawn` is from 0 to 1."""
        # Bounded first: a power of two soon exceeds what a float can hold.
        doubled_s = self.first_s * 2.0 ** min(failures - 1, 60)
        return min(self.most_s, doubled_s) * (1.0 - self.jitter * drawn)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a supervisor goes about failures.

    More than `restarts_max` of them within `window_s`, all children together, and it gives up;
    None never does. A child that was up for `stable_s` has its failures forgiven. `together` is how
    many children start or stop at a time where nobody needs another.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    restarts_max: int | None = 5
    window_s: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)
    stable_s: float = 30.0
    together: int = 1

    def __post_init__(self) -> None:
        if self.together < 1 or (self.together > 1 and self.strategy is not Strategy.ONE_FOR_ONE):
            raise Bug("children that need each other start one by one", together=self.together)
        if self.restarts_max is not None and self._spread_s(self.restarts_max) >= self.window_s:
            raise Bug(
                "the waits between restarts fill the window, so this supervisor never gives up; "
                "lengthen `window_s`, or say so with `restarts_max=None`",
                window_s=self.window_s,
                waits_s=self._spread_s(self.restarts_max),
            )

    def _spread_s(self, restarts: int) -> float:
        return sum(self.backoff.wait_s(number, 0.0) for number in range(1, restarts + 1))


class Budget:
    """The restarts of one supervisor that its window still holds."""

    def __init__(self, policy: Policy) -> None:
        self._restarts_max, self._window_s = policy.restarts_max, policy.window_s
        self._spent: deque[float] = deque()

    def spend(self, now_s: float) -> bool:
        """Whether there was a restart left to spend."""
        if self._restarts_max is None:
            return True
        while self._spent and self._spent[0] <= now_s - self._window_s:
            self._spent.popleft()
        self._spent.append(now_s)
        return len(self._spent) <= self._restarts_max
