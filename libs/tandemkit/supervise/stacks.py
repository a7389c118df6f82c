"""Stacks of a process that hangs: written upon a signal, also while the interpreter lock is held,
and read by who wants to know whose code that is.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from tandemkit.supervise.pulse import Origin, Pulse

# Nobody else's: what it does is done by C code, at once, in the thread that runs the loop.
SIGNAL = signal.SIGUSR2
_BYTES_MAX = 65536
_FRAME = re.compile(r'^  File "(?P<path>[^\n]+)", line [0-9?]+ in ', re.MULTILINE)


def path_beside(pulse: Path) -> Path:
    """Where the process with this pulse writes its stack."""
    return pulse.with_name(f"{pulse.name}.stack")


@contextlib.contextmanager
def written_on_signal(path: Path, pulse: Pulse) -> Iterator[None]:
    """Inside of the block the signal makes the process add the stack of its first thread, the last
    call first, to the file. Files and functions only: no values.
    """
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        faulthandler.register(SIGNAL, descriptor, all_threads=False)
        pulse.answers_to(SIGNAL)
        try:
            yield
        finally:
            pulse.answers_to(0)
            # One that is under way must find somebody who hears it, or it would end the process.
            faulthandler.unregister(SIGNAL)
            signal.signal(SIGNAL, signal.SIG_IGN)
    finally:
        os.close(descriptor)


def written(path: Path) -> str:
    """What stands there; empty where nothing does."""
    try:
        with path.open("rb") as file:
            return file.read(_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def holder(stack: str, origins: Sequence[Origin]) -> str:
    """The agent whose code is nearest to where the stack stands; empty where it is nobody's."""
    return agent_of((found["path"] for found in _FRAME.finditer(stack)), origins)


def agent_of(paths: Iterator[str], origins: Sequence[Origin]) -> str:
    """The first agent that one of the files belongs to."""
    for path in paths:
        for origin in origins:
            if origin.holds(path):
                return origin.agent
    return ""
