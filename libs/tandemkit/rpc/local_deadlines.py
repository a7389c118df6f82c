"""Ends calls when their callers' time is over: one timer for all that are due together."""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import Protocol

# How late a call may be ended. A timer for each call would cost a tenth of it, almost always for
# nothing: nearly all calls are over long before.
MOMENT_S = 0.005


class Timed(Protocol):
    """Whatever ends when its time is over."""

    def late(self) -> None:
        """Its time is over."""


class Deadlines:
    """Who is due, by moment. Whoever is over before leaves the set that it was put into, so nothing
    is kept for longer than it runs.
    """

    def __init__(self) -> None:
        self._moments: dict[int, set[Timed]] = {}
        # A timer keeps the context that it was set in, and with it the call that set it.
        self._context = contextvars.Context()

    def put(self, timed: Timed, due_s: float, loop: asyncio.AbstractEventLoop) -> set[Timed]:
        """Calls `timed.late` at `due_s` of the loop's time or soon after, unless it has left."""
        number = math.ceil(due_s / MOMENT_S)
        moment = self._moments.get(number)
        if moment is None:
            moment = self._moments[number] = set()
            loop.call_at(number * MOMENT_S, self._pass, number, context=self._context)
        moment.add(timed)
        return moment

    def _pass(self, number: int) -> None:
        for timed in tuple(self._moments.pop(number)):
            timed.late()
