from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc import breaker
from tandemkit.rpc.breaker import Breaker, State
from tandemkit.rpc.client import mesh
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.logs import lines_of
from tests.unit.tandemkit.rpc.probed import refused
from tests.unit.tandemkit.rpc.relayed import ProbeStub, Relay, chained, request, served, socket


async def tripped(clock: FakeClock) -> Breaker:
    """A breaker that has just opened."""
    it = Breaker("target", probe.path("Echo"), clock)
    for _ in range(breaker.FAILURES_MIN - 1):
        it.failed("UNAVAILABLE")
    await clock.advance(breaker.ROW_S_MIN)
    it.failed("UNAVAILABLE")
    assert it.state is State.OPEN
    return it


async def test_a_burst_of_failures_is_one_event() -> None:
    """Calls in flight at the same time die together; that alone stops nobody."""
    it = Breaker("target", "method", FakeClock())
    for _ in range(100):
        it.failed("UNAVAILABLE")
    assert it.state is State.CLOSED


async def test_few_failures_do_not_open_it_however_long_they_last() -> None:
    """A method that is seldom called needs as many failures as any other."""
    clock = FakeClock()
    it = Breaker("target", "method", clock)
    for _ in range(breaker.FAILURES_MIN - 1):
        it.failed("UNAVAILABLE")
        await clock.advance(3600)
    assert it.state is State.CLOSED


async def test_an_answer_ends_the_row() -> None:
    """Failures between answers are not a row, and replicas that answer keep it closed."""
    clock = FakeClock()
    it = Breaker("target", "method", clock)
    for _ in range(10 * breaker.FAILURES_MIN):
        it.failed("UNAVAILABLE")
        await clock.advance(breaker.ROW_S_MIN)
        if it.failures == breaker.FAILURES_MIN - 1:
            it.answered()
    assert it.state is State.CLOSED


async def test_open_it_says_how_long() -> None:
    """Nothing passes, and the wait shrinks with time."""
    clock = FakeClock()
    it = await tripped(clock)
    assert it.refused_for_s() == breaker.OPEN_S_MIN
    await clock.advance(breaker.OPEN_S_MIN / 4)
    assert it.refused_for_s() == it.view().open_for_s == breaker.OPEN_S_MIN * 3 / 4


async def test_one_probe_decides() -> None:
    """One call passes; its answer closes the breaker, and the others wait for it."""
    clock = FakeClock()
    it = await tripped(clock)
    await clock.advance(breaker.OPEN_S_MIN)
    assert it.refused_for_s() == 0.0
    assert it.state is State.HALF_OPEN
    assert it.refused_for_s() > 0.0
    it.answered()
    assert (it.state, it.failures, it.view().open_for_s) == (State.CLOSED, 0, 0.0)


async def test_every_change_of_state_leaves_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """With what it is about, and the cause where it opens; failures in between leave none."""
    clock = FakeClock()
    with caplog.at_level(logging.INFO, "tandemkit.rpc"):
        it = await tripped(clock)
        it.failed("UNAVAILABLE")
        await clock.advance(breaker.OPEN_S_MIN)
        it.refused_for_s()
        it.failed("DEADLINE_EXCEEDED")
        await clock.advance(2 * breaker.OPEN_S_MIN)
        it.refused_for_s()
        it.answered()
    lines: list[Any] = [
        (one.msg, one.__dict__["tandem_fields"]) for one in lines_of(caplog, "tandemkit.rpc")
    ]
    assert [event for event, _fields in lines] == [
        "breaker.open",
        "breaker.half_open",
        "breaker.open",
        "breaker.half_open",
        "breaker.closed",
    ]
    assert {fields["rpc"] for _event, fields in lines} == {probe.path("Echo")}
    opened = [(one["cause"], one["open_for_s"]) for event, one in lines if event == "breaker.open"]
    assert opened == [("UNAVAILABLE", 1.0), ("DEADLINE_EXCEEDED", 2.0)]


async def test_each_failed_probe_doubles_the_wait_up_to_a_limit() -> None:
    """A target that stays away is asked ever less often, but for ever."""
    clock = FakeClock()
    it = await tripped(clock)
    waits_s = []
    for _ in range(5):
        waits_s.append(it.refused_for_s())
        await clock.advance(waits_s[-1])
        assert it.refused_for_s() == 0.0
        it.failed("UNAVAILABLE")
    assert waits_s == [1.0, 2.0, 4.0, breaker.OPEN_S_MAX, breaker.OPEN_S_MAX]


async def test_a_probe_that_nobody_hears_of_is_replaced() -> None:
    """Its caller may have hung up; the breaker does not wait for ever."""
    clock = FakeClock()
    it = await tripped(clock)
    for _ in range(3):
        await clock.advance(breaker.OPEN_S_MIN)
        assert it.refused_for_s() == 0.0
        assert it.refused_for_s() > 0.0


@given(st.lists(st.sampled_from(["call", "answered", "failed", "wait"]), max_size=60))
async def test_m025_what_is_not_closed_lets_one_call_through_a_period(steps: list[str]) -> None:
    """Whatever happens in whatever order: no flood reaches a target that does not answer."""
    clock = FakeClock()
    it = await tripped(clock)
    passed_s: list[float] = []
    for step in steps:
        match step:
            case "call" if it.state is not State.CLOSED and not it.refused_for_s():
                passed_s.append(clock.monotonic_s())
            case "answered":
                it.answered()
                passed_s.clear()
            case "failed":
                it.failed("UNAVAILABLE")
            case "wait":
                await clock.advance(breaker.OPEN_S_MIN / 2)
    gaps_s = [later - sooner for sooner, later in pairwise(passed_s)]
    assert all(gap_s >= breaker.OPEN_S_MIN for gap_s in gaps_s)


async def test_m025_a_target_that_is_away_is_left_alone_and_found_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Calls are refused at once while it is away, with the time to come back; then all is well."""
    clock = FakeClock()
    async with socket() as address, mesh(address, clock=clock) as it:
        stub = it.stub(ProbeStub)
        with caplog.at_level(logging.INFO, "tandemkit.rpc"):
            for _ in range(breaker.FAILURES_MIN):
                await clock.advance(breaker.ROW_S_MIN)
                failure = await refused(stub.Narrow(request()))
                assert failure.code is grpc.StatusCode.UNAVAILABLE
        failure = await refused(stub.Narrow(request()))
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "CIRCUIT_OPEN")
        assert failure.retry_after_s == breaker.OPEN_S_MIN
        views = {view.method: view for view in it.breakers()}
        assert views[probe.path("Narrow")].failures == breaker.FAILURES_MIN
        assert views[probe.path("Echo")].state is State.CLOSED
        async with served(Relay(), address):
            await clock.advance(breaker.OPEN_S_MIN)
            assert (await stub.Narrow(request(), wait_for_ready=True)).text == "hello"
            assert {view.state for view in it.breakers()} == {State.CLOSED}
    assert [record.msg for record in lines_of(caplog, "tandemkit.rpc")] == ["breaker.open"]


@pytest.mark.parametrize("text", ["odd", "crash", "x" * (probe.TEXT_CHARS_MAX + 1)])
async def test_an_answer_that_is_a_refusal_never_opens_it(text: str) -> None:
    """What the caller, or the agent, did wrong shows that somebody is there."""
    clock = FakeClock()
    async with chained(clock=clock) as chain:
        chain.first.onward = None
        for _ in range(2 * breaker.FAILURES_MIN):
            await refused(chain.stub.Echo(request(text)))
            await clock.advance(breaker.ROW_S_MIN)
        assert all(view.failures == 0 for view in chain.mesh.breakers())


async def test_a_callers_own_impatience_never_opens_it() -> None:
    """A deadline that was shorter than the contract's says nothing about the target."""
    clock = FakeClock()
    async with chained(clock=clock) as chain:
        chain.first.onward = None
        for _ in range(2 * breaker.FAILURES_MIN):
            failure = await refused(chain.stub.Echo(request("hang"), timeout=0.01))
            assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            await clock.advance(breaker.ROW_S_MIN)
        assert all(view.failures == 0 for view in chain.mesh.breakers())


async def test_a_method_that_keeps_missing_its_own_deadline_opens_it() -> None:
    """Nobody answers in the time that the contract gives."""
    clock = FakeClock()
    async with chained(clock=clock) as chain:
        chain.first.onward = None
        for _ in range(breaker.FAILURES_MIN):
            await clock.advance(breaker.ROW_S_MIN)
            await refused(chain.stub.Narrow(request("hang")))
        assert (await refused(chain.stub.Narrow(request()))).reason == "CIRCUIT_OPEN"


async def test_streams_open_it_too() -> None:
    """A stream that cannot be opened counts, and an open breaker refuses it as it does any call."""
    clock = FakeClock()
    async with socket() as address, mesh(address, clock=clock) as it:
        stub = it.stub(ProbeStub)
        for _ in range(breaker.FAILURES_MIN):
            await clock.advance(breaker.ROW_S_MIN)
            await refused(stub.Tail(request()).read())
        call = stub.Tail(request())
        assert (await refused(anext(aiter(call)))).reason == "CIRCUIT_OPEN"
        assert (await call.code(), call.done()) == (grpc.StatusCode.UNAVAILABLE, True)
