"""A lock between processes, held through a file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tandemkit.core.clock import Clock, SystemClock

_LOOK_AGAIN_S = 0.1
_CLOCK = SystemClock()


@contextlib.asynccontextmanager
async def alone(
    path: Path, waiting: Callable[[], None], *, clock: Clock = _CLOCK
) -> AsyncIterator[int]:
    """Holds the lock; `waiting` is called once where another process has it.

    The kernel frees it when the last process that holds the descriptor is gone, however it went.
    """
    _make_folder(path.parent)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(lock):
            waiting()
            # Asked again and again: a call that blocks would not hear Ctrl-C.
            while not _taken(lock):
                await clock.sleep(_LOOK_AGAIN_S)
        yield lock
    finally:
        os.close(lock)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True
