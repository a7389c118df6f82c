"""What a process that serves agents does once, whichever command started it: it tells gRPC where
the mesh is, and ends when it is told to.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from tandemkit.core import environment
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.mesh.bootstrap import FILE_VARIABLE, VARIABLE


async def serve(
    placed: Sequence[Placed],
    place: Place,
    served: Callable[[int], None],
    draining: Callable[[], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.
    `served` is told the port.
    """
    stopped = _stopped_by_signal()
    if place.membership is not None:
        # What the host was told of its fleet counts, not what its shell knew of another.
        environment.hand_to_libraries({VARIABLE: place.membership.bootstrap, FILE_VARIABLE: None})
    async with hosting(placed, place) as port:
        served(port)
        await stopped.wait()
        draining()


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
