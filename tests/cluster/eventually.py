"""Waiting for what will hold, by looking again: level-triggered, so nothing can be missed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tandemkit.core.clock import Clock, SystemClock

T = TypeVar("T")

_LOOK_AGAIN_S = 0.05
_CLOCK = SystemClock()


async def eventually(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool] = bool,
    *,
    within_s: float = 20.0,
    clock: Clock = _CLOCK,
) -> T:
    """The first state that holds; AssertionError with the last one seen, once time is up.

    `look` may raise while the thing is not there yet; the last failure is then the last state.
    """
    deadline_s = clock.monotonic_s() + within_s
    last: object = "never seen"
    while clock.monotonic_s() < deadline_s:
        try:
            state = await look()
        except (OSError, LookupError, ValueError) as error:
            last = error
        else:
            if holds(state):
                return state
            last = state
        await clock.sleep(_LOOK_AGAIN_S)
    raise AssertionError(f"not within {within_s:g} s; the last state was {last!r}")
