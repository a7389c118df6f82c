"""What a draining server does to the calls that it has."""

from __future__ import annotations

import grpc
import pytest

from tests.contract.calls.scripted import Reached, Waiting, ask
from tests.contract.calls.test_unary import failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_call_in_progress_is_let_finish(it: Reached) -> None:
    """What was taken in before the drain is answered."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    await waiting.entered.wait()
    waiting.freed.set()
    await it.server.drain(grace_s=60)
    assert (await call).text == "hello"


async def test_a_call_that_outlasts_the_grace_is_cancelled(it: Reached) -> None:
    """The handler is cancelled, and the caller may try elsewhere."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    await waiting.entered.wait()
    await it.server.drain(grace_s=0)
    assert (await failed(call)).code == CODE.UNAVAILABLE
    await waiting.cancelled.wait()


async def test_an_endless_stream_ends_at_once(it: Reached) -> None:
    """A stream without a deadline holds no server up; its caller is told to go elsewhere."""
    waiting = Waiting()
    it.agent.script = waiting.after_one
    call = it.stub.Tail(ask())
    assert (await call.read()).text == "first"
    await waiting.entered.wait()
    await it.server.drain(grace_s=60)
    failure = await failed(call.read())
    assert (failure.code, failure.reason) == (CODE.UNAVAILABLE, "DRAINING")


async def test_a_call_after_the_drain_is_not_served(it: Reached) -> None:
    """Neither on the wire nor past it."""
    await it.server.drain(grace_s=0)
    assert (await failed(it.stub.Echo(ask()))).code == CODE.UNAVAILABLE
