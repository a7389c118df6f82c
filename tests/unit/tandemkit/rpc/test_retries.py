from __future__ import annotations

import asyncio

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc import failure, retries
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.retries import Tokens, pause_s
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock, Hasty
from tests.unit.tandemkit.rpc.probed import refused
from tests.unit.tandemkit.rpc.relayed import chained, grpc_error, request

CODE = grpc.StatusCode


def unavailable(pushback: str) -> RemoteFailure:
    """A failure with what a server says about the next attempt."""
    trailers = ((failure.PUSHBACK_HEADER, pushback),)
    return RemoteFailure.of(grpc_error(CODE.UNAVAILABLE, *trailers))


@given(st.lists(st.booleans(), max_size=300))
def test_m025_retries_stay_within_a_tenth_of_the_calls(successes: list[bool]) -> None:
    """Beyond what the full bucket holds, ten successes earn one retry."""
    tokens = Tokens()
    granted = 0
    for success in successes:
        if success:
            tokens.earn()
        else:
            granted += tokens.spend()
    assert granted <= retries.TOKENS_MAX / 2 + retries.TOKENS_A_SUCCESS * sum(successes)


@given(draw=st.floats(0, 1, exclude_max=True), told_s=st.floats(0, 100))
def test_m025_a_server_that_names_a_delay_gets_at_least_that(draw: float, told_s: float) -> None:
    """Jitter makes it longer, never shorter."""
    told = RemoteFailure(CODE.UNAVAILABLE, "", retry_after_s=told_s)
    wait_s = pause_s(told, lambda: draw)
    assert wait_s is not None
    assert told_s <= wait_s <= 1.5 * told_s


@pytest.mark.parametrize(("pushback", "wait_s"), [("-1", None), ("250", 0.25), ("soon", None)])
def test_pushback_decides(pushback: str, wait_s: float | None) -> None:
    """A number is the delay; below zero, or no number at all, means never."""
    assert pause_s(unavailable(pushback), lambda: 0.0) == wait_s


async def test_an_idempotent_call_is_tried_once_more() -> None:
    """Its caller does not learn of one failure."""
    async with chained(clock=Hasty()) as chain:
        chain.first.failing = 1
        assert (await chain.stub.Echo(request())).text == "hello"
        assert len(chain.first.came) == 2


async def test_it_is_tried_no_more_than_that() -> None:
    """The second failure is the caller's to know."""
    async with chained(clock=Hasty()) as chain:
        chain.first.failing = 9
        assert (await refused(chain.stub.Echo(request()))).reason == "BUSY"
        assert len(chain.first.came) == 2


async def test_a_call_that_may_have_had_an_effect_is_not_repeated() -> None:
    """Only what the contract calls idempotent is."""
    async with chained(clock=Hasty()) as chain:
        chain.first.failing = 1
        assert (await refused(chain.stub.Narrow(request()))).reason == "BUSY"
        assert len(chain.first.came) == 1


@pytest.mark.parametrize("text", ["odd", "crash"])
async def test_only_unavailable_is_tried_again(text: str) -> None:
    """Another answer would be the same answer."""
    async with chained(clock=Hasty()) as chain:
        chain.first.onward = None
        await refused(chain.stub.Echo(request(text)))
        assert len(chain.first.came) == 1


async def test_retries_do_not_multiply_along_a_chain() -> None:
    """The hop next to the failure tries twice; the ones before it are told not to."""
    async with chained(clock=Hasty()) as chain:
        chain.last.failing = 9
        failed = await refused(chain.stub.Echo(request()))
        assert (len(chain.first.came), len(chain.last.came)) == (1, 2)
    assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "DOWNSTREAM_UNAVAILABLE")
    assert failed.metadata == {
        "downstream_reason": "BUSY",
        "downstream_domain": probe.PACKAGE,
    }
    assert failed.pushback_s is not None
    assert failed.pushback_s < 0


async def test_a_refusal_for_want_of_room_is_nobodys_to_repeat() -> None:
    """Each hop asks once; who asked first is told when to come again."""
    async with chained(clock=Hasty()) as chain:
        chain.last.is_full, chain.last.retry_after_s = True, 2.0
        failed = await refused(chain.stub.Echo(request()))
        assert (len(chain.first.came), len(chain.last.came)) == (1, 1)
    assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "DOWNSTREAM_OVERLOADED")
    assert (failed.retry_after_s, failed.pushback_s) == (2.0, -0.001)


async def test_another_failure_downstream_is_a_defect() -> None:
    """An agent that asks wrongly, and lets the answer escape, has a bug."""
    async with chained() as chain:
        failed = await refused(chain.stub.Echo(request("odd")))
    assert (failed.code, failed.reason) == (CODE.INTERNAL, "INTERNAL")


async def test_m025_the_wait_is_the_servers_and_within_the_deadline() -> None:
    """It is kept where there is time for it; where there is not, the failure comes at once."""
    clock = Hasty()
    async with chained(clock=clock, draw=lambda: 0.0) as chain:
        chain.first.failing, chain.first.retry_after_s = 2, 1.5
        assert (await refused(chain.stub.Echo(request(), timeout=1.0))).reason == "BUSY"
        assert (len(chain.first.came), clock.slept_s) == (1, [])
        await chain.stub.Echo(request(), timeout=10.0)
        assert clock.slept_s == [1.5]
        second, third = chain.first.came[1:]
    assert second.left_s is not None
    assert third.left_s is not None
    assert third.left_s < second.left_s - 1.0


async def test_a_target_that_fails_all_the_time_is_not_asked_twice() -> None:
    """The budget is spent after four, and earned back by what succeeds."""
    async with chained(clock=Hasty()) as chain:
        chain.first.failing = 1000
        for _ in range(20):
            await refused(chain.stub.Echo(request()))
        assert len(chain.first.came) == 24


async def test_a_call_given_up_between_two_attempts_is_not_sent_again() -> None:
    """`cancel` holds for the whole call."""

    class Waiting(Hasty):
        async def sleep(self, duration_s: float) -> None:
            call.cancel()

    async with chained(clock=Waiting()) as chain:
        chain.first.failing = 1
        call = chain.stub.Echo(request())
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(chain.first.came) == 1


async def test_a_call_given_up_between_two_attempts_is_over_at_once() -> None:
    """It was not over before, and nobody who awaits it waits for the second attempt's time."""

    class Standing(FakeClock):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()

        async def sleep(self, duration_s: float) -> None:
            self.asked.set()
            await super().sleep(duration_s)

    clock, told = Standing(), list[object]()
    async with chained(clock=clock) as chain:
        chain.first.failing = 1
        call = chain.stub.Echo(request())
        call.add_done_callback(told.append)
        both = asyncio.gather(call, call, return_exceptions=True)
        await clock.asked.wait()
        assert (call.done(), told) == (False, [])
        assert (call.cancel(), call.cancel()) == (True, False)
        assert [type(each) for each in await both] == [asyncio.CancelledError] * 2
        assert (call.done(), call.cancelled(), told) == (True, True, [call])
        assert await call.code() is CODE.CANCELLED
        assert len(chain.first.came) == 1


async def test_messages_of_a_stream_earn_no_retries() -> None:
    """The budget is a share of the calls; one busy stream is one call."""
    async with chained(clock=Hasty()) as chain:
        chain.first.failing = 1000
        for _ in range(5):
            await refused(chain.stub.Echo(request()))
        spent = len(chain.first.came)
        for _ in range(20):
            assert len([each async for each in chain.stub.Tail(request())]) == 2
        await refused(chain.stub.Echo(request()))
        assert len(chain.first.came) == spent + 1
