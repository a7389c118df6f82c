"""Processes whose wall clock is off by what a file says, and may be set while they run.

libfaketime is loaded into them without the program that comes with it. Both leave a semaphore named
by their process behind when they are killed; where the name comes round again the library does
without, and the program refuses to start.
"""

from __future__ import annotations

import os
from pathlib import Path

from tandemkit.testing.parts import demand


def moved_clock(offset: Path, *, monotonic_too: bool = False) -> dict[str, str]:
    """The variables of such a process; `offset` holds seconds, such as +60. Skips where faketime is
    absent.
    """
    program = demand("faketime")["faketime"]
    (library,) = program.parent.parent.glob("lib/*/faketime/libfaketimeMT.so.1")
    variables = {
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "LD_PRELOAD": str(library),
        "PATH": os.defpath,
    }
    return variables if monotonic_too else {**variables, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
