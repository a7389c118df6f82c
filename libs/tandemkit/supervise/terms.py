"""What is lent for a time, or to a process: whose term ends when, and the wait for the next one
that does.
"""

from __future__ import annotations

from asyncio import Event
from functools import partial
from math import inf

from tandemkit.core.clock import Clock
from tandemkit.supervise.alarm import Alarm
from tandemkit.supervise.roll.owners import Owner, Watched


class Terms:
    """Terms by name. Nothing happens while none ends: `ended` sleeps until then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s: dict[str, float] = {}
        self._stir = Event()
        self._wakes_s = inf
        self._watched = Watched()
        self._owners: dict[str, Owner] = {}
        self._alarm = Alarm(clock, self._stir.set)

    def begin(self, name: str, term_s: float) -> None:
        """From now on, whatever was left of an earlier one."""
        due_s = self._clock.monotonic_s() + term_s
        self._due_s[name] = due_s
        if due_s < self._wakes_s:
            self._stir.set()

    def drop(self, name: str) -> None:
        """It is given back before its end, which nobody is told any more."""
        self._due_s.pop(name, None)
        self.untie(name)

    def tie(self, name: str, pid: int) -> Owner:
        """Ends the term at the moment when the process that has this number now ends. Raises
        NoSuchProcess, TooMany.
        """
        owner = self._watched.process(pid)
        self._tie(name, owner)
        return owner

    def tie_again(self, name: str, owner: Owner) -> None:
        """To a process that was noted in an earlier life. Raises as `tie` does."""
        self._watched.again(owner)
        self._tie(name, owner)

    def untie(self, name: str) -> None:
        """Only time ends it from now on."""
        owner = self._owners.pop(name, None)
        if owner is not None:
            self._watched.forget(owner, name)

    def close(self) -> None:
        """Watches nobody any more."""
        self._watched.close()

    def left_s(self, name: str) -> float:
        """0 where its end has passed, or there is none."""
        return max(0.0, self._due_s.get(name, -inf) - self._clock.monotonic_s())

    async def ended(self) -> tuple[str, ...]:
        """Those that are over, at least one; they are told until dropped."""
        try:
            while True:
                now_s = self._clock.monotonic_s()
                over = [name for name, due_s in self._due_s.items() if due_s <= now_s]
                if over:
                    return tuple(over)
                self._stir.clear()
                self._wakes_s = min(self._due_s.values(), default=inf)
                self._alarm.set_to(self._wakes_s if self._due_s else None)
                await self._stir.wait()
        finally:
            await self._alarm.end()

    def _tie(self, name: str, owner: Owner) -> None:
        if self._owners.get(name) != owner:
            self.untie(name)
        self._owners[name] = owner
        self._watched.when_over(owner, name, partial(self.begin, name, 0.0))
