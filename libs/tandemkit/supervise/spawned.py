"""A child process, started without a fork that others could hang.

uvloop forks, and a fork runs the handlers of every library. gRPC's wait for its threads, so where
those are busy the child never gets as far as its program, and our loop waits for it. The standard
library's vfork runs no handlers.
"""

from __future__ import annotations

import asyncio
import os
import subprocess

from tandemkit.core.clock import SystemClock

_CLOCK = SystemClock()
# Where the kernel has no descriptor for a process, it is looked after so often.
_LOOK_S = 0.05


class Spawned:
    """Belongs to the loop that it was made in."""

    def __init__(self, started: subprocess.Popen[bytes]) -> None:
        self._started = started
        self._has_ended = asyncio.Event()
        self._descriptor = os.pidfd_open(started.pid) if hasattr(os, "pidfd_open") else None
        if self._descriptor is not None:
            asyncio.get_running_loop().add_reader(self._descriptor, self._end)

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._started.poll()

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        while self.returncode is None:
            if self._descriptor is None:
                await _CLOCK.sleep(_LOOK_S)
            else:
                await self._has_ended.wait()
        self._release()
        return self._started.wait()

    def _end(self) -> None:
        self._started.poll()
        self._release()
        self._has_ended.set()

    def _release(self) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
