"""Children that do what a test tells them, and a supervisor of them on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandemkit.supervise.alarm import Turns
from tandemkit.supervise.children import Child, Life, Restart
from tandemkit.supervise.policy import Backoff, Policy, Strategy
from tandemkit.supervise.reports import Cause, Happening, Report
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.ward import Means
from tandemkit.testing.clock import FakeClock

# Without chance and with round figures.
BACKOFF = Backoff(first_s=1.0, most_s=4.0, jitter=0.0)


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._turns = Turns()

    def take(self, report: Report) -> None:
        self.reports.append(report)
        self._turns.tell()

    async def until(self, path: str, happening: Happening, times: int = 1) -> None:
        """Returns once that has been told so often."""
        while self.of(path).count(happening) < times:
            await self._turns.next()

    def of(self, path: str) -> list[Happening]:
        return [one.happening for one in self.reports if one.path == path]

    def causes(self, path: str, happening: Happening) -> list[Cause | None]:
        return [
            one.cause for one in self.reports if one.path == path and one.happening is happening
        ]


class Puppet:
    """What one child does, life for life. It is ready at once unless `is_slow`."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name, self._diary = name, diary
        self.is_slow = self.is_deaf = False
        self.fails_at_start: list[Exception] = []
        self.lives = 0
        self._life: Life | None = None
        self._end: asyncio.Future[None] | None = None

    @property
    def is_alive(self) -> bool:
        return self._end is not None

    def child(
        self, restart: Restart = Restart.ALWAYS, grace_s: float = 5.0, ready_within_s: float = 30.0
    ) -> Child:
        return Child(self.name, self.run, restart, grace_s, ready_within_s)

    async def run(self, life: Life) -> None:
        assert self._end is None, f"two of {self.name} at a time"
        self.lives += 1
        self._diary.append(f"+{self.name}")
        self._life, self._end = life, asyncio.get_running_loop().create_future()
        try:
            if self.fails_at_start:
                raise self.fails_at_start.pop(0)
            if not self.is_slow:
                life.ready()
            await self._until_end(self._end)
        finally:
            self._end = None
            self._diary.append(f"-{self.name}")

    def get_ready(self) -> None:
        assert self._life is not None
        self._life.ready()

    def fail(self, error: Exception | None = None) -> None:
        assert self._end is not None
        self._end.set_exception(error or OSError(f"{self.name} broke"))

    def finish(self) -> None:
        assert self._end is not None
        self._end.set_result(None)

    async def _until_end(self, end: asyncio.Future[None]) -> None:
        while True:
            try:
                await asyncio.shield(end)
            except asyncio.CancelledError:
                if not self.is_deaf:
                    raise
            else:
                return


class Stage:
    """A supervisor of puppets, whose time only the test moves."""

    def __init__(self, *names: str) -> None:
        self.clock, self.kept = FakeClock(), Kept()
        self.diary: list[str] = []
        self.puppets = {name: Puppet(name, self.diary) for name in names}
        self.means = Means(self.clock, self.kept, draw=lambda: 0.0)

    def __getitem__(self, name: str) -> Puppet:
        return self.puppets[name]

    def supervisor(self, policy: Policy, *children: Child, name: str = "top") -> Supervisor:
        made = children or tuple(one.child() for one in self.puppets.values())
        return Supervisor(name, made, policy, self.means)

    @asynccontextmanager
    async def playing(self, policy: Policy, *children: Child) -> AsyncIterator[Supervisor]:
        """With all children up that get ready by themselves."""
        async with supervising(self.supervisor(policy, *children)) as supervisor:
            await self.settle()
            yield supervisor

    async def settle(self) -> None:
        await self.clock.advance(0.0)

    def took_down(self) -> str:
        """What was written since this was last asked."""
        said = " ".join(self.diary)
        self.diary.clear()
        return said

    @property
    def alive(self) -> set[str]:
        return {name for name, one in self.puppets.items() if one.is_alive}


def policy(strategy: Strategy = Strategy.ONE_FOR_ONE, **fields: float) -> Policy:
    """With round waits, and room for 3 failures in a minute."""
    said = {"restarts_max": 3, "window_s": 60.0, "stable_s": 30.0, "together": 1, **fields}
    return Policy(
        strategy,
        int(said["restarts_max"]),
        said["window_s"],
        BACKOFF,
        said["stable_s"],
        int(said["together"]),
    )
