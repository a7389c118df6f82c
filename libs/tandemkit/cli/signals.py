"""What Ctrl-C, the end of the terminal and `kill` mean to a command that has something to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tandemkit.supervise.errands import Errands

_Result = TypeVar("_Result")
_ASKED = (signal.SIGINT, signal.SIGTERM)
_OUTPUTS = (1, 2)


class Interrupts:
    """From its making on the first one is told, and the second ends the process at once. A terminal
    that goes may say so twice, by itself and by its shell: that is one.
    """

    def __init__(self) -> None:
        self._came = asyncio.Event()
        # A terminal that has gone is none any more for who asks then.
        self._terminals = [one for one in _OUTPUTS if os.isatty(one)]
        loop = asyncio.get_running_loop()
        for number in _ASKED:
            loop.add_signal_handler(number, self._come)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    async def until(self, work: Coroutine[Any, Any, _Result]) -> _Result | None:
        """What `work` returns; None where an interrupt came before, which cancels it."""
        return await unless(self._wait(), work)

    async def _wait(self) -> None:
        await self._came.wait()

    def _hang_up(self) -> None:
        unread(self._terminals)
        self._come()

    def _come(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _ASKED:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        self._came.set()


def unread(outputs: Collection[int] = _OUTPUTS) -> None:
    """Nobody reads what is written there any more, and it would fail: it is left unsaid."""
    with Path(os.devnull).open("wb") as nowhere:
        for output in outputs:
            os.dup2(nowhere.fileno(), output)


async def unless(
    stop: Coroutine[Any, Any, object], work: Coroutine[Any, Any, _Result]
) -> _Result | None:
    """What `work` returns; None where `stop` returned before. The other one is cancelled."""
    results: list[_Result] = []
    errands = Errands()

    async def do() -> None:
        results.append(await work)

    async def wait() -> None:
        await stop

    working, stopping = errands.start(do()), errands.start(wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await errands.end(grace_s=0)
    if not working.cancelled():
        # What it raised is raised here.
        working.result()
    return results[0] if results else None
