"""What is lent for a time: whose term ends when, and the wait for the next one that does."""

from __future__ import annotations

from asyncio import Event
from math import inf

from tandemkit.core.clock import Clock
from tandemkit.supervise.alarm import Alarm


class Terms:
    """Terms by name. Nothing happens while none ends: `ended` sleeps until then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s: dict[str, float] = {}
        self._stir = Event()
        self._wakes_s = inf
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
