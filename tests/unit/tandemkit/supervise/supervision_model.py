"""What must be running, and how often it was started, after a row of failures and requests.

It knows nothing of tasks, turns or order: each step is over at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from tandemkit.supervise.children import Restart
from tandemkit.supervise.policy import Strategy

RESTARTS_MAX, WINDOW_S, STABLE_S = 3, 60.0, 30.0
# All waits that one step can lead to, one behind the other.
SETTLED_S = 10.0


@dataclass(slots=True)
class Expected:
    """What a child has to be."""

    restart: Restart
    is_up: bool = True
    is_suspended: bool = False
    lives: int = 1
    failures: int = 0
    up_s: float = 0.0

    def comes_back(self, *, finishes: bool) -> bool:
        if self.restart is Restart.ON_FAILURE:
            return not finishes
        return self.restart is Restart.ALWAYS


class Model:
    """A supervisor, as far as it can be told from outside."""

    def __init__(self, strategy: Strategy) -> None:
        self.children: dict[str, Expected] = {}
        self.has_given_up = False
        self._strategy = strategy
        self._failed_s: list[float] = []

    def put(self, name: str, restart: Restart, now_s: float) -> None:
        self.children[name] = Expected(restart, up_s=now_s)

    def end(self, name: str, now_s: float, *, finishes: bool, starts_to_fail: int) -> None:
        one = self.children[name]
        if one.comes_back(finishes=finishes):
            self._fail(name, now_s, starts_to_fail)
        elif one.restart is Restart.NEVER:
            del self.children[name]
        else:
            one.is_up = False

    def restart(self, name: str, now_s: float) -> None:
        one = self.children[name]
        for other in self._fallen(name, is_start=False):
            self._again(other, now_s)
        one.is_suspended, one.is_up, one.failures = False, True, 0
        one.lives += 1
        one.up_s = now_s

    def suspend(self, name: str) -> None:
        one = self.children[name]
        one.is_up, one.is_suspended = False, True

    def resume(self, name: str, now_s: float) -> None:
        one = self.children[name]
        one.is_suspended, one.is_up, one.up_s = False, True, now_s
        one.lives += 1

    def _fail(self, name: str, now_s: float, starts_to_fail: int) -> None:
        """A failure, and then some of the start that it leads to."""
        one = self.children[name]
        if now_s - one.up_s >= STABLE_S:
            one.failures = 0
        for start in range(1 + starts_to_fail):
            self._failed_s = [other for other in self._failed_s if other > now_s - WINDOW_S]
            self._failed_s.append(now_s)
            if len(self._failed_s) > RESTARTS_MAX:
                self.has_given_up = True
                return
            one.failures += 1
            now_s += min(4.0, 2.0 ** (one.failures - 1))
            for other in self._fallen(name, is_start=start > 0):
                self._again(other, now_s)
            one.lives += 1
        one.up_s = now_s

    def _fallen(self, name: str, *, is_start: bool) -> list[str]:
        order = list(self.children)
        place = order.index(name)
        # Those behind a start that failed had not been started yet.
        behind = [] if is_start else order[place + 1 :]
        if self._strategy is Strategy.ONE_FOR_ONE:
            return []
        return behind if self._strategy is Strategy.REST_FOR_ONE else behind + order[:place]

    def _again(self, name: str, now_s: float) -> None:
        one = self.children[name]
        if not one.is_up:
            return
        if one.restart is Restart.NEVER:
            del self.children[name]
        else:
            one.lives += 1
            one.up_s = now_s
