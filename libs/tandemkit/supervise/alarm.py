"""A loop that sleeps until something is due, and those that wait for its turns."""

from __future__ import annotations

from asyncio import Event, Task
from collections.abc import Callable

from tandemkit.core.clock import Clock
from tandemkit.supervise.errands import Errands


class Alarm:
    """Rings no later than it is set to. It may ring once too often, which costs less than to set it
    anew whenever the time moves back.
    """

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._errands = Errands()
        self._set: tuple[float, Task[None]] | None = None

    def set_to(self, due_s: float | None) -> None:
        """`due_s` is a time of its clock; None leaves it as it is."""
        if due_s is None:
            return
        if self._set is not None and not self._set[1].done():
            if self._set[0] <= due_s:
                return
            self._set[1].cancel()
        self._set = (due_s, self._errands.start(self._sleep(due_s)))

    async def end(self) -> None:
        await self._errands.end(grace_s=0)

    async def _sleep(self, due_s: float) -> None:
        await self._clock.sleep(max(0.0, due_s - self._clock.monotonic_s()))
        self._ring()


class Turns:
    """Lets any number wait for the end of a loop's next turn."""

    def __init__(self) -> None:
        self._ended = Event()

    def tell(self) -> None:
        self._ended.set()
        self._ended = Event()

    def now(self) -> Event:
        """Set once the turn that is on now has ended. Whoever takes it before looking at what the
        turns are about misses no end.
        """
        return self._ended

    async def next(self) -> None:
        await self._ended.wait()
