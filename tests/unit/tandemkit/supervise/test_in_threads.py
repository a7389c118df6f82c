"""Work in a thread that nobody leaves before it has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tandemkit.supervise.in_threads import to_its_end


async def test_who_is_cancelled_keeps_its_lock_until_the_thread_has_ended() -> None:
    """So nobody else finds the thread at work."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    lock = asyncio.Lock()

    def work() -> None:
        begun.set()
        may_end.wait(5)
        ended.set()

    async def locked() -> None:
        async with lock:
            await to_its_end(work)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(locked())
        await asyncio.to_thread(begun.wait, 5)
        running.cancel()
        waiting = group.create_task(lock.acquire())
        may_end.set()
        await waiting
        assert ended.is_set()
    assert running.cancelled()


async def test_an_answer_and_a_failure_come_through() -> None:
    """As of `asyncio.to_thread`."""
    assert await to_its_end(int, "7") == 7
    with pytest.raises(ValueError):
        await to_its_end(int, "seven")
