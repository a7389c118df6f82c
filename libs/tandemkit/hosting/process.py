"""What a process that serves agents does once, whichever command started it: it tells gRPC where
the mesh is, and ends when it is told to.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import replace

from tandemkit.core import environment
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.mesh.bootstrap import FILE_VARIABLE, VARIABLE
from tandemkit.telemetry.export import exported

Beside = Callable[[int], AbstractAsyncContextManager[object]]


async def serve(
    placed: Sequence[Placed],
    place: Place,
    served: Callable[[int], None],
    draining: Callable[[], None],
    beside: Beside = nullcontext,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.
    `served` is told the port. What stands `beside` it begins before that, and ends when the host
    has drained.
    """
    # What agents write is for this user alone, wherever somebody put the home.
    os.umask(0o077)
    stopped = _stopped_by_signal()
    if place.membership is not None:
        # What the host was told of its fleet counts, not what its shell knew of another.
        environment.hand_to_libraries({VARIABLE: place.membership.bootstrap, FILE_VARIABLE: None})
    # A matrix is one thread's work here: numpy would take every core, and memory for each.
    environment.prefer_for_libraries("OPENBLAS_NUM_THREADS", "1")
    async with AsyncExitStack() as behind:
        exporting = exported(place.tracing, environment.Environment.read(), _service(placed))
        place = replace(place, tracing=behind.enter_context(exporting))
        async with hosting(placed, place) as port:
            await behind.enter_async_context(beside(port))
            served(port)
            await stopped.wait()
            draining()


def _service(placed: Sequence[Placed]) -> str:
    """The process's name among others that send spans: its agent's, its family's, or the kit's."""
    families = {one.agent.promise.name.family for one in placed}
    if len(placed) == 1:
        return placed[0].name
    return families.pop() if len(families) == 1 else "tandem"


def _stopped_by_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            # Not KeyboardInterrupt, which everything that drains could hold up.
            signal.signal(number, signal.SIG_DFL)
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped
