"""The rounds of a supervisor: look at each child, then stop and start what has to be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.supervise import order
from tandemkit.supervise.charges import TIMED, Charge, State, outcome
from tandemkit.supervise.children import ChildFailure, Restart, Unmendable
from tandemkit.supervise.policy import Budget, Policy, Strategy
from tandemkit.supervise.reports import (
    Cause,
    Ending,
    Happening,
    LogSink,
    NotReady,
    Raised,
    Reports,
    Returned,
    Sibling,
    Sink,
)


@dataclass(frozen=True, slots=True)
class Means:
    """What a supervisor goes by: whose time, where reports go, and chance (0 to 1)."""

    clock: Clock = field(default_factory=SystemClock)
    sink: Sink = field(default_factory=LogSink)
    draw: Callable[[], float] = random.random


class Escalated(ChildFailure):
    """A supervisor gave up: its children fail too often, or one of them cannot be stopped."""


class Ward:
    """The children of one run of a supervisor. `turn` never waits; `wake` asks for another one."""

    def __init__(self, policy: Policy, means: Means, wake: Callable[[], None]) -> None:
        self.charges: list[Charge] = []
        self.path = ""
        self.failure: Escalated | None = None
        self._policy, self._means, self._wake = policy, means, wake
        self._reports = Reports(means.clock, means.sink)
        self._budget = Budget(policy)
        self._is_ending = False
        # Tasks that do not end; what they raise if they ever do is nobody's.
        self._lost: set[asyncio.Task[None]] = set()

    def begin(self, path: str) -> None:
        self.path, self.failure, self._is_ending = path, None, False
        self._budget = Budget(self._policy)
        for charge in self.charges:
            charge.anew()

    def end(self) -> None:
        """Every child is to stop, and none to start."""
        self._is_ending = True
        for charge in self.charges:
            if charge.task is not None:
                charge.fall(Ending(), _then(charge))

    @property
    def is_over(self) -> bool:
        return self._is_ending and all(one.task is None for one in self.charges)

    def turn(self) -> float | None:
        """Does what is due, and says when the next thing will be."""
        now_s = self._means.clock.monotonic_s()
        self._look(now_s)
        # Requests that concern one child each have nothing to do with one another.
        is_free = self._policy.strategy is Strategy.ONE_FOR_ONE and not self._is_ending
        together = len(self.charges) if is_free else self._policy.together
        for charge in order.to_stop(self.charges, together):
            self.tell(charge, Happening.STOPPING, charge.cause)
            charge.stop(now_s)
        if not self._is_ending:
            for charge in order.to_start(self.charges, self._policy, now_s):
                happening = Happening.RESTARTING if charge.cause else Happening.STARTING
                self.tell(charge, happening, charge.cause)
                charge.start(self._path(charge), now_s, self._wake)
        self.charges = [one for one in self.charges if one.state is not State.REMOVED]
        due = [one.due_s for one in self.charges if one.state in TIMED and one.due_s > now_s]
        return min(due, default=None)

    def _look(self, now_s: float) -> None:
        for charge in tuple(self.charges):
            if charge.task is not None and charge.task.done():
                self._over(charge, charge.task, now_s)
            elif charge.state is State.STARTING and charge.is_ready:
                self._up(charge, now_s)
            elif charge.due_s <= now_s and charge.state is State.STARTING:
                self._late(charge, now_s)
            elif charge.due_s <= now_s and charge.state is State.STOPPING:
                self._overran(charge)

    def fell(self, charge: Charge, cause: Cause, again_s: float) -> None:
        """Stops it, for a start at `again_s`, and with it those that the strategy says."""
        for one in order.fallen(self.charges, charge, self._policy.strategy):
            if one is charge:
                one.fall(cause, State.WAITING, again_s)
            else:
                one.fall(Sibling(charge.name), _then(one), again_s)

    def tell(
        self,
        charge: Charge,
        happening: Happening,
        cause: Cause | None = None,
        wait_s: float | None = None,
    ) -> None:
        self._reports.tell(self._path(charge), happening, cause, charge.failures, wait_s)

    def _path(self, charge: Charge) -> str:
        return f"{self.path}/{charge.name}"

    def _over(self, charge: Charge, task: asyncio.Task[None], now_s: float) -> None:
        cause, error = outcome(task)
        if charge.state in (State.STOPPING, State.FALLING):
            self.tell(charge, Happening.STOPPED, cause)
            charge.has_stopped()
            return
        charge.task = None
        restart = charge.child.restart
        is_done = isinstance(cause, Returned) and restart is not Restart.ALWAYS
        if is_done or restart is Restart.NEVER:
            self.tell(charge, Happening.ENDED if is_done else Happening.FAILED, cause)
            charge.state = State.REMOVED if restart is Restart.NEVER else State.ENDED
            return
        charge.cause = cause
        charge.wait(now_s)
        self._failed(charge, cause, error, now_s)

    def _late(self, charge: Charge, now_s: float) -> None:
        cause = NotReady(charge.child.ready_within_s)
        if charge.child.restart is Restart.NEVER:
            self.tell(charge, Happening.FAILED, cause)
            charge.fall(cause, State.REMOVED)
        else:
            self._failed(charge, cause, None, now_s)

    def _failed(
        self, charge: Charge, cause: Cause, error: BaseException | None, now_s: float
    ) -> None:
        up_since_s, charge.up_since_s = charge.up_since_s, None
        if up_since_s is not None and now_s - up_since_s >= self._policy.stable_s:
            charge.failures = 0
        charge.failures += 1
        if isinstance(error, Unmendable):
            self.tell(charge, Happening.FAILED, cause)
            self._give_up("a child cannot be mended", charge, error)
            return
        wait_s: float | None = self._policy.backoff.wait_s(charge.failures, self._means.draw())
        if not self._budget.spend(now_s):
            wait_s = None
        self.tell(charge, Happening.FAILED, cause, wait_s)
        if wait_s is None:
            self._give_up("children fail too often", charge, error)
        else:
            self.fell(charge, cause, now_s + wait_s)

    def _give_up(self, why: str, charge: Charge, error: BaseException | None) -> None:
        if self.failure is None:
            self.failure = Escalated(
                why, Sibling(charge.name), supervisor=self.path, child=charge.name
            )
            self.failure.__cause__ = error
            self.failure.cause = Raised.of(self.failure)
            self._reports.tell(self.path, Happening.ESCALATED, self.failure.cause)
        self.end()

    def _up(self, charge: Charge, now_s: float) -> None:
        charge.state, charge.up_since_s, charge.has_been_up = State.UP, now_s, True
        self.tell(charge, Happening.UP)

    def _overran(self, charge: Charge) -> None:
        """Two of one kind must never run, so one that does not stop cannot be replaced."""
        self.tell(charge, Happening.OVERRAN, charge.cause)
        if charge.task is not None:
            self._lost.add(charge.task)
            charge.task.add_done_callback(self._lost.discard)
        charge.has_stopped()
        if not self._is_ending:
            self._give_up("a child does not stop", charge, None)


def _then(charge: Charge) -> State:
    return State.REMOVED if charge.child.restart is Restart.NEVER else State.WAITING
