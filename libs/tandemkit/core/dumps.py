"""A process that holds a secret leaves no copy of its memory behind when it crashes, and lets no
other program of its user read it.
"""

from __future__ import annotations

import ctypes
import resource
import sys

# 0 would still hand the memory to a program that the kernel's core_pattern names; below a page no
# file is written either, and for a program the kernel takes 1 to mean none.
_LIMIT_BYTES = 1
# linux/prctl.h
_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """For this process and those that it starts, for good."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _LIMIT_BYTES if hard == resource.RLIM_INFINITY else min(hard, _LIMIT_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def forbid_looking() -> None:
    """The same, and besides: only root may attach to this process, read its memory or have a core
    of it made. Processes that it starts may be looked into again.
    """
    forbid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
