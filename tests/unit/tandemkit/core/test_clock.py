"""The machine's own time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock, until_next_s
from tandemkit.testing.clock import FakeClock

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


async def test_what_is_due_every_so_often_is_due_at_the_same_moments() -> None:
    """Whenever each of them began: a processor that wakes for one has the others done besides."""
    clock, rung = FakeClock(), list[float]()

    async def ring(began_s: float) -> None:
        await clock.sleep(began_s)
        for _ in range(2):
            await clock.sleep(until_next_s(clock, 2.0))
            rung.append(clock.monotonic_s())

    await asyncio.gather(*(ring(began_s) for began_s in (0.0, 0.3, 1.5)), clock.advance(4.0))
    assert rung == [2.0, 2.0, 2.0, 4.0, 4.0, 4.0]


async def test_a_timer_that_rings_early_does_not_ring_twice() -> None:
    """As those of the kernel and of the loop may, by a millisecond."""
    clock = FakeClock()
    await clock.advance(1.999)
    assert until_next_s(clock, 2.0) == pytest.approx(2.001)
