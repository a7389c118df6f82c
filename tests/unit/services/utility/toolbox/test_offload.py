"""Where work runs, and that it ends when nobody waits for it."""

import asyncio
import threading

import pytest

from services.utility.toolbox import offload


async def test_work_that_nobody_waits_for_stops_at_its_next_step() -> None:
    """A thread cannot be cancelled, so the work itself looks whether its call is still there."""
    loop = asyncio.get_running_loop()
    released, ended = threading.Event(), threading.Event()

    def work() -> None:
        loop.call_soon_threadsafe(deadline.reschedule, loop.time())
        released.wait()
        try:
            offload.checkpoint()
        except offload.Abandoned:
            ended.set()
            raise

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as deadline:
            await offload.in_thread(work)
    released.set()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_work_that_somebody_waits_for_goes_on() -> None:
    """The check costs a call nothing but time, in a thread and on the loop."""
    await offload.in_thread(offload.checkpoint)
    await offload.by_size(1, offload.checkpoint)


async def test_small_work_stays_on_the_loop_and_large_work_leaves_it() -> None:
    """The threshold decides, and it is the same for every tool."""
    here = threading.get_ident()
    assert await offload.by_size(offload.INLINE_BYTES_MAX, threading.get_ident) == here
    assert await offload.by_size(offload.INLINE_BYTES_MAX + 1, threading.get_ident) != here
