"""A process that holds a secret leaves no copy of its memory behind when it crashes."""

from __future__ import annotations

import resource

# 0 would still hand the memory to a program that the kernel's core_pattern names; below a page no
# file is written either, and for a program the kernel takes 1 to mean none.
_LIMIT_BYTES = 1


def forbid() -> None:
    """For this process and those that it starts, for good."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _LIMIT_BYTES if hard == resource.RLIM_INFINITY else min(hard, _LIMIT_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
