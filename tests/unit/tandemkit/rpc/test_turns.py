"""When calls may begin on a pressed server, as far as one loop shows it. The rest is seen with
processes: tests/cluster/test_overload.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tandemkit.core.clock import stopwatch_s
from tandemkit.rpc.context import IN_PROCESS
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.current import Current
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.priority import HEADER, Priority
from tandemkit.rpc.seats import Seat
from tandemkit.rpc.turns import IN_PROGRESS_MAX, Turns, unhurried
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe

METHODS = {one.name: one for one in Contract.of(probe.DESCRIPTOR).methods}


@dataclass
class Came:
    """As much of a call's context as its turn depends on."""

    left_s: float | None = None
    caller: str = "ipv4:127.0.0.1:4000"

    def peer(self) -> str:
        return self.caller

    def time_remaining(self) -> float | None:
        return self.left_s


@dataclass
class Full:
    """A server that is as full as it may be, until it is not."""

    in_progress: int = IN_PROGRESS_MAX

    def turns(self) -> Turns:
        return Turns(int, lambda: self.in_progress)


def call(priority: Priority = Priority.STANDARD, **came: Any) -> Current:
    context: Any = Came(**came)
    return Current(METHODS["Echo"], context, "", stopwatch_s(), priority)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.to_thread(lambda: None)


async def test_a_full_host_lets_calls_begin_when_others_have_ended() -> None:
    """The lesser class first."""
    full, order = Full(), list[Priority]()
    turns = full.turns()

    async def come(priority: Priority) -> None:
        await turns.turn(call(priority), None)
        order.append(priority)

    async with asyncio.TaskGroup() as calls:
        for priority in reversed(Priority):
            calls.create_task(come(priority))
        await until(lambda: all(turns.waiting(one) for one in Priority))
        assert not order
        full.in_progress = 0
    assert order == list(Priority)


async def test_a_call_of_this_process_passes() -> None:
    """It belongs to one that was let in, which would wait for it in vain."""
    full = Full()
    turns = full.turns()
    async with asyncio.TaskGroup() as calls:
        calls.create_task(turns.turn(call(), None))
        await until(lambda: bool(turns.waiting(Priority.STANDARD)))
        came = call(caller=f"{IN_PROCESS}1")
        assert await turns.turn(came, None) == came.started_s
        full.in_progress = 0


async def test_who_hangs_up_waits_no_longer() -> None:
    """Its place is gone with it."""
    full = Full()
    turns = full.turns()
    async with asyncio.TaskGroup() as calls:
        first = calls.create_task(turns.turn(call(), None))
        await until(lambda: bool(turns.waiting(Priority.STANDARD)))
        first.cancel()
        await until(lambda: not turns.waiting(Priority.STANDARD))
        full.in_progress = 0


async def test_who_waits_for_too_long_is_refused_and_counted() -> None:
    """With its class, and the time after which it may come again."""
    full = Full()
    turns = full.turns()
    with pytest.raises(Refused) as told:
        await turns.turn(call(Priority.STANDARD, left_s=0.05), Priority.BATCH.word)
    full.in_progress = 0
    await until(lambda: turns.look_at_s > 0.0)
    refusal = told.value.refusal
    assert (refusal.reason, refusal.metadata) == ("OVERLOADED", {"priority": "batch"})
    assert (refusal.retry_after_s, refusal.final) == (2.0, True)
    assert turns.shed.counts == {
        Priority.INTERACTIVE: 0,
        Priority.STANDARD: 0,
        Priority.BATCH: 1,
    }


async def test_nobody_waits_where_turns_are_unhurried() -> None:
    """A word that is no class is refused there too."""
    came = call()
    assert await unhurried().turn(came, None) == came.started_s
    with pytest.raises(Refused) as told:
        await unhurried().turn(call(), "urgent")
    assert HEADER in told.value.refusal.message


async def test_a_watch_is_no_load() -> None:
    """What lasts as long as its caller wants does not make a host full."""
    seat = Seat(Contract.of(probe.DESCRIPTOR), Probe())
    assert seat.room(METHODS["Tail"]).enter(0.0, Priority.STANDARD) is not None
    assert (seat.calls, seat.passing) == (1, 0)
