"""What a method lets in, by class, and where nobody is there to answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.room import Room, restarting
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probed, probed, refused

STANDARD = Priority.STANDARD


async def test_a_limit_that_is_told_meanwhile_opens_nothing() -> None:
    """It holds as soon as somebody answers again."""
    (echo, *_) = Contract.of(probe.DESCRIPTOR).methods
    room = Room(echo)
    room.shut(restarting())
    room.limit(1)
    with pytest.raises(Refused) as told:
        room.enter(0.0, STANDARD)
    assert told.value.refusal.reason == "RESTARTING"
    room.reopen()
    call = room.enter(0.0, STANDARD)
    assert call is not None
    with pytest.raises(Refused) as told:
        room.enter(0.0, STANDARD)
    assert told.value.refusal.reason == "OVERLOADED"
    room.leave(call)


async def test_a_seat_is_kept_from_batch_calls() -> None:
    """They fill a method but for its last quarter, at least one seat; the others fill it."""
    async with full(2, Priority.BATCH) as it:
        assert (await refused(asks(it, Priority.BATCH))).reason == "OVERLOADED"
        other = asks(it, STANDARD, "hang")
        await reached(it)
        assert (await refused(asks(it, STANDARD))).reason == "OVERLOADED"
        it.servicer.freed.set()
        assert (await other).text == "hang"


async def test_an_interactive_call_has_the_next_seat() -> None:
    """It waits where the method is full, of which as many may as there are seats."""
    async with full(1, Priority.BATCH) as it:
        first, second = asks(it, Priority.INTERACTIVE), asks(it, Priority.INTERACTIVE)
        failure = await refused(second)
        assert (failure.reason, first.done()) == ("OVERLOADED", False)
        assert (await refused(asks(it, STANDARD))).reason == "OVERLOADED"
        it.servicer.freed.set()
        assert (await first).text == "hello"


async def test_who_waits_for_a_seat_waits_no_longer_than_the_method_may_take() -> None:
    """Its time is over then, as that of a call in progress."""
    narrow = next(one for one in Contract.of(probe.DESCRIPTOR).methods if one.name == "Narrow")
    room = Room(narrow)
    room.limit(1)
    room.enter(math.inf, STANDARD)
    assert await _refusal_of(room) == "DEADLINE_EXCEEDED"


async def test_a_seat_of_who_hangs_up_goes_to_the_next() -> None:
    """No seat is lost with whoever was to have it."""
    (echo, *_) = Contract.of(probe.DESCRIPTOR).methods
    room, order = Room(echo), list[str]()
    room.limit(1)

    async def sit(name: str) -> None:
        call = await room.seat()
        order.append(name)
        room.leave(call)

    async with asyncio.TaskGroup() as tasks:
        mine = room.enter(0.0, STANDARD)
        assert mine is not None
        first, _second = (tasks.create_task(sit(name)) for name in ("first", "second"))
        await asyncio.wait([first], timeout=0)
        room.leave(mine)
        first.cancel()
    assert order == ["second"]


async def test_who_waits_for_a_seat_is_told_that_nobody_answers_any_more() -> None:
    """The agent is built again: waiting ends."""
    (echo, *_) = Contract.of(probe.DESCRIPTOR).methods
    room = Room(echo)
    room.limit(1)
    assert room.enter(0.0, STANDARD) is not None
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_refusal_of(room))
        await asyncio.wait([waiting], timeout=0)
        room.close(restarting())
    assert waiting.result() == "RESTARTING"


async def _refusal_of(room: Room) -> str:
    with pytest.raises(Refused) as told:
        await room.seat()
    return told.value.refusal.reason


@asynccontextmanager
async def full(calls_max: int, priority: Priority) -> AsyncIterator[Probed]:
    """An agent that takes so many calls of a method, one of which hangs."""
    async with probed() as it:
        it.server.limit({probe.SERVICE: calls_max})
        hanging = asks(it, priority, "hang")
        await reached(it)
        yield it
        it.servicer.freed.set()
        await hanging


def asks(it: Probed, priority: Priority, text: str = "hello") -> Any:
    return it.unary("Echo", text, metadata=(priority.header,))


async def reached(it: Probed) -> None:
    """When one more call hangs."""
    await it.servicer.entered.wait()
    it.servicer.entered.clear()
