"""The machine's own time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock

_CLOCK = SystemClock()


async def test_a_sleep_until_a_moment_ends_behind_it() -> None:
    """Never before; and at once where the moment has passed."""
    # The loop's own timer, and the kernel's.
    moment = _CLOCK.now()
    for left_s in (0.03, 1.05):
        moment = _CLOCK.now() + timedelta(seconds=left_s)
        await _CLOCK.sleep_until(moment)
        assert _CLOCK.now() >= moment
    async with asyncio.timeout(10):
        await _CLOCK.sleep_until(moment)
        await _CLOCK.sleep_until(moment - timedelta(days=365 * 100))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_sleep_that_is_given_up_leaves_nothing_open() -> None:
    """A timer of the kernel's is a descriptor, and they are few."""
    before = descriptors()
    for _ in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await _CLOCK.sleep_until(_CLOCK.now() + timedelta(days=1))
    assert descriptors() == before
