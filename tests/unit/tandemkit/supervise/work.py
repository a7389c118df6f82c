"""What workers are told to do in tests: functions of a module, as they have to be."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

from tandemkit.core.errors import CallerError


def whose(_nothing: object = None) -> int:
    return os.getpid()


def add(one: int, *, other: int) -> int:
    return one + other


def refuse(reason: int) -> NoReturn:
    raise CallerError(reason, "text exceeds the limit", field="text", chars_max=5)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def never_end(begun: str) -> NoReturn:
    Path(begun).write_text(str(os.getpid()))
    while True:
        threading.Event().wait()


def not_to_be_sent() -> object:
    return threading.Lock()


def spin(cpu_s: float) -> int:
    while time.process_time() < cpu_s:
        pass
    return os.getpid()
