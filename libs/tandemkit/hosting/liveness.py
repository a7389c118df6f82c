"""A host's signs of life: its loop beats, and so does a thread beside it, which speaks for the host
while the loop is held: docs/design/liveness.md.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

from tandemkit.core import log
from tandemkit.core.clock import SystemClock, until_next_s
from tandemkit.hosting.busy import BusyPort
from tandemkit.hosting.holding import Holding
from tandemkit.supervise import stacks
from tandemkit.supervise.children import task
from tandemkit.supervise.judging import LATE_S
from tandemkit.supervise.pulse import BEAT_S, Pulse, pulse
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.threads import ThreadLife, thread

# The loop's real time, whatever time its agents go by: it is what the kernel and others measure.
_CLOCK = SystemClock()
_LOGGER = logging.getLogger("tandemkit.hosting")


@asynccontextmanager
async def living(holding: Holding, port: BusyPort | None, path: Path | None) -> AsyncIterator[None]:
    """Inside of the block the host can be felt to live, in the file if one is named. Raises OSError
    where that cannot be made.
    """
    async with AsyncExitStack() as around:
        if port is not None:
            around.enter_context(closing(port))
        beats = around.enter_context(pulse(path, holding.origins))
        if path is not None:
            around.enter_context(stacks.written_on_signal(stacks.path_beside(path), beats))
        beats.loop_beats(_CLOCK.monotonic_s())
        beside = Beside(beats, holding, port)
        children = (task("loop", lambda: _beating(beats)), thread("beside", beside.run))
        await around.enter_async_context(supervising(Supervisor("liveness", children)))
        yield


async def _beating(beats: Pulse) -> None:
    while True:
        beats.loop_beats(_CLOCK.monotonic_s())
        await _CLOCK.sleep(until_next_s(_CLOCK, BEAT_S))


class Beside:
    """What the thread beside the loop does. It needs the interpreter lock like anybody else, so it
    is silent where C code keeps that; then the supervisor of the machine speaks for the host.
    """

    def __init__(self, beats: Pulse, holding: Holding, port: BusyPort | None) -> None:
        self._beats, self._holding, self._port = beats, holding, port
        self._is_held = False

    def run(self, life: ThreadLife) -> None:
        """Until it is told to stop."""
        life.ready()
        while not life.stopping.wait(0 if self._is_held and self._port else BEAT_S):
            self.turn()

    def turn(self) -> None:
        """One beat, and, where the loop misses its own, what there is to say about that."""
        now_s = _CLOCK.monotonic_s()
        self._beats.thread_beats(now_s)
        beat_s = self._beats.loop_s
        held_s = now_s - beat_s
        was_held, self._is_held = self._is_held, held_s >= LATE_S
        if self._is_held:
            if not was_held:
                self._say(held_s)
            if self._port is not None:
                self._port.answer(BEAT_S, lambda: self._beats.loop_s == beat_s)
        elif was_held:
            self._beats.held_by("", 0)
            log.event(_LOGGER, logging.INFO, "host.free")

    def _say(self, held_s: float) -> None:
        """Once for each time that the loop is held."""
        agent, where = self._holding.found()
        self._beats.held_by(agent, self._beats.loop_s)
        if self._port is not None:
            self._port.face.held_by(agent, held_s)
        held_s = round(held_s, 3)
        log.event(_LOGGER, logging.WARNING, "host.busy", agent=agent, held_s=held_s, stack=where)
