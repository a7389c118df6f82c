"""An agent that does to its host whatever a caller says."""

from __future__ import annotations

import asyncio
import ctypes
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tandemkit.core.clock import stopwatch_s
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import Answer

# Far longer than any test waits.
EVER_S = 600


def spin(hold_s: float) -> None:
    """Python code that does not let go of the loop."""
    until_s = stopwatch_s() + hold_s
    while stopwatch_s() < until_s:
        pass


def compute_locked(_hold_s: float) -> None:
    """C code that computes and keeps the interpreter lock: it would take hours."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def sleep_locked(hold_s: float) -> None:
    """C code that waits and keeps the interpreter lock."""
    ctypes.PyDLL(None).sleep(int(hold_s))


def wedge(_hold_s: float) -> None:
    """Waits for a lock that nobody opens."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def eat(mib: float) -> None:
    """Memory that is used, and kept."""
    _EATEN.append(b"x" * (int(mib) * 1024 * 1024))


_EATEN: list[bytes] = []
WAYS = {one.__name__: one for one in (spin, compute_locked, sleep_locked, wedge, eat)}


class Stuck:
    """`text` is the name of a way, and for how long if that matters. Its own check never returns
    once `Wait` was called.
    """

    def __init__(self) -> None:
        self._is_silent = False

    async def Ask(self, request: Any, _context: Any) -> Any:
        way, _, hold_s = request.text.partition(" ")
        if way in WAYS:
            WAYS[way](float(hold_s or EVER_S))
        return Answer(text="free")

    async def Wait(self, _request: Any, _context: Any) -> Any:
        self._is_silent = True
        return Answer()

    Add = Stick = Ask

    async def check(self) -> None:
        if self._is_silent:
            await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def build(scope: Scope, _settings: Any) -> AsyncIterator[Stuck]:
    stuck = Stuck()
    scope.ready_when(stuck.check)
    yield stuck
