"""Keeps children running: started in order, started again when they fail, stopped in reverse.

A supervisor is a coroutine and therefore itself a child of another one, which it fails when it
gives up. docs/design/supervision.md has the rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tandemkit.core.errors import Failure
from tandemkit.supervise.alarm import Alarm, Turns
from tandemkit.supervise.charges import SETTLED, Charge, State
from tandemkit.supervise.children import Child, Life
from tandemkit.supervise.policy import Policy
from tandemkit.supervise.reports import Asked, Happening
from tandemkit.supervise.tasks import Tasks
from tandemkit.supervise.ward import Means, Ward


class NoSuchChild(Failure):
    """The supervisor has no child of that name."""


class ChildExists(Failure):
    """The supervisor has a child of that name already."""


class NotSupervising(Failure):
    """The supervisor is not running, or ended before what was asked for was done."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a child is: how often it was started in all, and its failures in a row."""

    name: str
    state: State
    lives: int
    failures: int


class Supervisor:
    """What is asked of it (`add`, `restart`, ...) holds even if the one who asked stops waiting."""

    def __init__(
        self,
        name: str,
        children: Iterable[Child] = (),
        policy: Policy | None = None,
        means: Means | None = None,
    ) -> None:
        self.name = name
        self._means = means or Means()
        self._news = asyncio.Event()
        self._ward = Ward(policy or Policy(), self._means, self._news.set)
        self._turns = Turns()
        self._is_running = False
        for child in children:
            if any(one.name == child.name for one in self._ward.charges):
                raise ChildExists("a supervisor has one child of a name", child=child.name)
            self._ward.charges.append(Charge(child))

    def child(self, grace_s: float, ready_within_s: float) -> Child:
        """The supervisor as a child of another. The times are for all of its children together."""
        return Child(self.name, self.run, grace_s=grace_s, ready_within_s=ready_within_s)

    async def run(self, life: Life | None = None) -> None:
        """Until it is cancelled, and then until its children have stopped. Raises Escalated when it
        gives up, which its children do not outlive either.
        """
        self._ward.begin(life.path if life else self.name)
        self._is_running = True
        alarm = Alarm(self._means.clock, self._news.set)
        try:
            was_cancelled = await self._go_round(alarm, life.ready if life else _nobody)
        finally:
            self._is_running = False
            self._turns.tell()
            await alarm.end()
        if self._ward.failure is not None:
            raise self._ward.failure
        if was_cancelled:
            raise asyncio.CancelledError

    async def _go_round(self, alarm: Alarm, ready: Callable[[], None]) -> bool:
        """Returns when it is over, and whether because of a cancellation."""
        was_cancelled = False
        while True:
            self._news.clear()
            alarm.set_to(self._ward.turn())
            self._turns.tell()
            if self._is_settled:
                ready()
            if self._ward.is_over:
                return was_cancelled
            try:
                await self._news.wait()
            except asyncio.CancelledError:
                # Whoever insists has to wait too: the graces of the children bound it.
                was_cancelled = True
                self._ward.end()

    async def until_up(self) -> None:
        """Returns once each child is up, or need not be. Raises NotSupervising where it gives up
        before.
        """
        await self._until(lambda: self._is_settled)

    def children(self) -> tuple[Status, ...]:
        """How each is, in their order."""
        return tuple(
            Status(one.name, one.state, one.lives, one.failures) for one in self._ward.charges
        )

    async def add(self, child: Child, asked: Asked) -> None:
        """Starts one more, behind the others but without waiting for them where none needs another.
        Returns when it is up. Raises ChildExists.
        """
        self._check_running()
        if any(one.name == child.name for one in self._ward.charges):
            raise ChildExists("a supervisor has one child of a name", child=child.name)
        self._ward.charges.append(charge := Charge(child, is_late=True))
        self._ward.tell(charge, Happening.ADDED, asked)
        await self._until(lambda: charge.state in SETTLED)

    async def remove(self, name: str, asked: Asked) -> None:
        """Stops the child alone and forgets it. Returns when it is gone. Raises NoSuchChild."""
        charge = self._charge(name)
        self._ward.tell(charge, Happening.REMOVED, asked)
        charge.put_down(asked, State.REMOVED)
        await self._until(lambda: charge.state is State.REMOVED)

    async def restart(self, name: str, asked: Asked) -> None:
        """Stops the child, with those that fall with it by the strategy, and starts them at once;
        also one that was suspended or done. No restart is spent. Returns when it is up.
        """
        charge = self._charge(name)
        lives = charge.lives
        now_s = self._means.clock.monotonic_s()
        charge.failures = 0
        if charge.task is None:
            charge.cause = asked
            charge.wait(now_s)
        self._ward.fell(charge, asked, now_s)
        await self._until(
            lambda: (
                (charge.lives > lives and charge.state in SETTLED) or charge.state is State.REMOVED
            )
        )

    async def suspend(self, name: str, asked: Asked) -> None:
        """Stops the child alone until it is resumed; others are as if it were not there. Its memory
        is free afterwards, which a stopped process's would not be. Raises NoSuchChild.
        """
        charge = self._charge(name)
        self._ward.tell(charge, Happening.SUSPENDED, asked)
        charge.put_down(asked, State.SUSPENDED)
        down = (State.SUSPENDED, State.REMOVED)
        await self._until(lambda: charge.state in down)

    async def resume(self, name: str, asked: Asked) -> None:
        """Starts a suspended child again, and returns when it is up. Raises NoSuchChild."""
        charge = self._charge(name)
        if charge.take_up(self._means.clock.monotonic_s()):
            charge.cause = asked
            self._ward.tell(charge, Happening.RESUMED, asked)
        await self._until(lambda: charge.state in SETTLED and charge.state is not State.SUSPENDED)

    @property
    def _is_settled(self) -> bool:
        return all(one.state in SETTLED for one in self._ward.charges)

    def _charge(self, name: str) -> Charge:
        self._check_running()
        for charge in self._ward.charges:
            if charge.name == name:
                return charge
        raise NoSuchChild("the supervisor has no such child", supervisor=self.name, child=name)

    def _check_running(self) -> None:
        if not self._is_running:
            raise NotSupervising("the supervisor is not running", supervisor=self.name)

    async def _until(self, met: Callable[[], bool]) -> None:
        self._news.set()
        # Only behind a turn, for what was asked for is seen by that one.
        while True:
            self._check_running()
            await self._turns.next()
            if met():
                return


@asynccontextmanager
async def supervising(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    """At the top, where there is no parent: it runs inside of the block, and ends whoever is in it
    when it gives up.
    """
    async with Tasks() as tasks:
        tasks.spawn(supervisor.name, supervisor.run())
        # Its first turn, so that it can be asked for something.
        await asyncio.sleep(0)
        yield supervisor


def _nobody() -> None:
    """There is no parent that waits for it to be ready."""
