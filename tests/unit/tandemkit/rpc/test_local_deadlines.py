from __future__ import annotations

import asyncio

from tandemkit.rpc.local_deadlines import MOMENT_S, Deadlines


class Call:
    """Notes when it was told that its time is over."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.told_s = 0.0

    def late(self) -> None:
        self.told_s = asyncio.get_running_loop().time()
        self.told.set()


async def test_a_call_is_ended_at_its_time_and_never_before() -> None:
    """Rounding is up, so that no call loses time that it was given."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    started_s = loop.time()
    calls = {Call(): started_s + n * MOMENT_S * 0.7 for n in range(20)}
    for call, due_s in calls.items():
        deadlines.put(call, due_s, loop)
    for call, due_s in calls.items():
        await call.told.wait()
        assert call.told_s >= due_s - 0.001  # the loop's own clock has milliseconds


async def test_a_call_that_left_is_not_told() -> None:
    """Leaving the moment is all that a call does when it is over."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    left, stays = Call(), Call()
    due_s = loop.time() + MOMENT_S
    deadlines.put(left, due_s, loop).discard(left)
    deadlines.put(stays, due_s, loop)
    await stays.told.wait()
    assert not left.told.is_set()
