"""A timer of the kernel's that goes by the wall clock, also while somebody sets that: Python has a
way to it from 3.13 on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
_CLOCK_REALTIME, _TIMER_ABSTIME = 0, 1
# Its calls keep the interpreter's lock: they never wait.
_LIBC: Final = ctypes.PyDLL(None, use_errno=True)


class _Setting(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


async def shows(moment: datetime) -> None:
    """Returns once the machine's wall clock shows `moment`; sleeps until then."""
    descriptor = _done(_LIBC.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        seconds, rest = divmod(moment - _EPOCH, _SECOND)
        # All zero would mean no timer.
        setting = _Setting(0, 0, max(seconds, 0), max(rest // _MICROSECOND * 1000, 1))
        _done(_LIBC.timerfd_settime(descriptor, _TIMER_ABSTIME, ctypes.byref(setting), None))
        loop = asyncio.get_running_loop()
        is_due = asyncio.Event()
        loop.add_reader(descriptor, is_due.set)
        try:
            await is_due.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def _done(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
