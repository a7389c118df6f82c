"""Deadlines and cancellation: a call that ends early ends on both sides."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tandemkit.rpc.context import time_left_s
from tests.contract.calls.scripted import Reached, Waiting, ask, said
from tests.contract.calls.test_unary import failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_callers_deadline_ends_both_sides(it: Reached) -> None:
    """The caller gets DEADLINE_EXCEEDED; the handler is cancelled."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask(), timeout=0.05)
    failure = await failed(call)
    assert (failure.code, failure.message) == (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert (failure.reason, call.cancelled()) == ("", False)
    await waiting.cancelled.wait()


async def test_the_contracts_deadline_ends_both_sides(it: Reached) -> None:
    """The method's own time holds without the caller's, and says so in its reason."""
    it.agent.script = waiting = Waiting()
    failure = await failed(it.stub.Narrow(ask()))
    assert (failure.code, failure.reason) == (CODE.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert failure.metadata == {"deadline_s": "0.2"}
    await waiting.cancelled.wait()


async def test_a_deadline_in_the_past_runs_nothing(it: Reached) -> None:
    """A call that has no time left is refused without asking the agent."""
    it.agent.script = waiting = Waiting()
    assert (await failed(it.stub.Echo(ask(), timeout=-1))).code == CODE.DEADLINE_EXCEEDED
    assert not waiting.entered.is_set()


async def test_both_sides_know_the_time_that_is_left(it: Reached) -> None:
    """The handler sees the caller's deadline, or that there is none."""
    seen: list[float | None] = []

    async def script(_request: Any, context: Any) -> AsyncIterator[Any]:
        seen.append(time_left_s(context))
        yield said("")

    it.agent.script = script
    call = it.stub.Tail(ask(), timeout=60)
    assert 0 < call.time_remaining() < 61
    await call.read()
    call = it.stub.Tail(ask())
    assert call.time_remaining() is None
    await call.read()
    assert seen[0] is not None
    assert 0 < seen[0] < 61
    assert seen[1] is None


async def test_a_caller_who_cancels_ends_both_sides(it: Reached) -> None:
    """The call is cancelled once; awaiting it raises CancelledError; the handler is cancelled."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    await waiting.entered.wait()
    assert (call.cancel(), call.cancel()) == (True, False)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (call.cancelled(), call.done()) == (True, True)
    assert await call.code() == CODE.CANCELLED
    assert await call.details() == "Locally cancelled by application!"
    await waiting.cancelled.wait()


async def test_a_caller_whose_task_is_cancelled_ends_both_sides(it: Reached) -> None:
    """A task that gives up awaiting hangs up."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 0.05)
    assert call.cancelled()
    await waiting.cancelled.wait()


async def test_asking_for_the_code_does_not_tie_the_call_to_the_asker(it: Reached) -> None:
    """Who gives up waiting for a call's code does not hang up."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call.code(), 0.05)
    waiting.freed.set()
    assert (await call).text == "hello"


async def test_a_stream_that_is_forgotten_is_cancelled(it: Reached) -> None:
    """Nobody can read on, so nobody works on it."""
    waiting = Waiting()
    it.agent.script = waiting.after_one
    call = it.stub.Tail(ask())
    await call.read()
    await waiting.entered.wait()
    del call
    gc.collect()
    await waiting.cancelled.wait()


async def test_a_unary_call_that_is_forgotten_runs_on(it: Reached) -> None:
    """Who does not care for the answer may drop the call."""
    it.agent.script = waiting = Waiting()
    it.stub.Echo(ask())
    await waiting.entered.wait()
    gc.collect()
    waiting.freed.set()
    await it.stub.Echo(ask())
    assert not waiting.cancelled.is_set()


async def test_a_handler_that_takes_its_time_to_leave_holds_no_caller(it: Reached) -> None:
    """The caller's deadline is the caller's, whatever the handler does about its cancellation."""
    freed, left = asyncio.Event(), asyncio.Event()

    async def script(_request: Any, _context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            await freed.wait()
            left.set()

    it.agent.script = script
    assert (await failed(it.stub.Echo(ask(), timeout=0.05))).code == CODE.DEADLINE_EXCEEDED
    assert not left.is_set()
    freed.set()
    await left.wait()


async def test_a_deadline_ends_a_stream_after_what_it_sent(it: Reached) -> None:
    """A stream with a deadline delivers what came in time, then says why it ended."""
    it.agent.script = Waiting().after_one
    call = it.stub.Burst(ask())
    assert (await call.read()).text == "first"
    assert (await failed(call.read())).reason == "DEADLINE_EXCEEDED"


async def test_the_callers_deadline_ends_a_stream(it: Reached) -> None:
    """The reader is told, and the handler is cancelled."""
    waiting = Waiting()
    it.agent.script = waiting.after_one
    call = it.stub.Tail(ask(), timeout=0.05)
    assert (await call.read()).text == "first"
    assert (await failed(call.read())).code == CODE.DEADLINE_EXCEEDED
    await waiting.cancelled.wait()


async def test_a_caller_who_leaves_a_stream_ends_it(it: Reached) -> None:
    """Cancelling between two messages cancels the handler and ends the reading."""
    waiting = Waiting()
    it.agent.script = waiting.after_one
    call = it.stub.Tail(ask())
    assert (await call.read()).text == "first"
    await waiting.entered.wait()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() == CODE.CANCELLED
    await waiting.cancelled.wait()
