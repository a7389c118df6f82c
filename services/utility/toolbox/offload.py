"""Where work runs: on the event loop while it is small, in a thread once it is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Linear work over this much takes about a millisecond, and a thread hop about 0.1 ms. Below it the
# hop is not worth its price; above it, other calls would feel the wait.
INLINE_BYTES_MAX = 16 * 1024

_abandoned: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)


class Abandoned(Exception):
    """Nobody waits for this work any more. Ends the thread; no caller ever sees it."""


def checkpoint() -> None:
    """Ends work whose call was cancelled or ran out of time. Loops over the caller's input call it.

    A thread cannot be stopped from outside, so without this a client that gives up and calls again
    would fill the machine with work that nobody reads.
    """
    abandoned = _abandoned.get()
    if abandoned is not None and abandoned.is_set():
        raise Abandoned


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs work whose cost is not linear in its input, or not small."""
    abandoned = threading.Event()
    token = _abandoned.set(abandoned)
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    finally:
        abandoned.set()
        _abandoned.reset(token)


async def by_size(size_bytes: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs linear work inline up to INLINE_BYTES_MAX of input, and in a thread above."""
    if size_bytes <= INLINE_BYTES_MAX:
        return work(*args, **kwargs)
    return await in_thread(work, *args, **kwargs)
