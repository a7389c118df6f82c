"""What goes on while somebody waits: a live line on a terminal, once it takes over a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TextIO

from tandemkit.cli.columns import cut
from tandemkit.cli.harmless import one_line
from tandemkit.cli.live_screen import columns_of
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.supervise.tasks import Tasks

_QUIET_S = 1.0
_REDRAW_S = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\033[2K"
_CLOCK = SystemClock()


@asynccontextmanager
async def waiting(
    stream: TextIO, title: str, said: Callable[[], str], clock: Clock = _CLOCK
) -> AsyncIterator[None]:
    """Shows `title`, what is `said` of it now, and how long it has taken. Elsewhere than on a
    terminal it says once that it waits.
    """
    async with Tasks() as tasks:
        tasks.spawn("waiting", _shown(stream, title, said, clock))
        try:
            yield
        finally:
            if stream.isatty():
                stream.write(_CLEAR_LINE)
                stream.flush()


async def _shown(stream: TextIO, title: str, said: Callable[[], str], clock: Clock) -> None:
    started_s = clock.monotonic_s()
    await clock.sleep(_QUIET_S)
    if not stream.isatty():
        stream.write(f"tandem: {title} …\n")
        return
    frame = 0
    while True:
        frame += 1
        passed_s = clock.monotonic_s() - started_s
        line = f"tandem: {_FRAMES[frame % len(_FRAMES)]} {title} {passed_s:.0f} s  {said()}"
        stream.write(f"{_CLEAR_LINE}{cut(one_line(line), columns_of(stream))}")
        stream.flush()
        await clock.sleep(_REDRAW_S)
