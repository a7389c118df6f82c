"""What a mesh does around a call, on each of the paths that it has; and, in so many words, where
the paths differ by who does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tandemkit.core.errors import TransientError
from tandemkit.mesh.routes import SLACK_S
from tandemkit.rpc import breaker
from tandemkit.rpc.breaker import State
from tandemkit.rpc.budget import OVERTIME_S, reserve_s
from tandemkit.rpc.context import time_left_s
from tandemkit.rpc.contract import UNARY_DEADLINE_S
from tandemkit.rpc.current import SERVING
from tandemkit.testing import probe
from tests.contract.calls.paths import OF_A_MESH
from tests.contract.calls.scripted import Reached, Waiting, ask, reached_by, said
from tests.contract.calls.test_unary import failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
# gRPC rounds a deadline up on the wire, by less than two hundredths.
ROUNDED = 1.02
# How often an agent is asked that always answers UNAVAILABLE. Over `xds` and through the edge the
# route repeats a call, and a mesh on top of it does not; otherwise a mesh does, and nobody where
# there is none.
ATTEMPTS = {
    "direct": 1,
    "in-process": 1,
    "mesh": 2,
    "mesh-in-process": 2,
    "xds": 2,
    "mesh-xds": 2,
    "edge": 2,
}
# What the agent is told of its time where the caller named none. A mesh sends the contract's; the
# route's deadline, which has SLACK_S more, is the client's own business and is not sent; only the
# edge sends it.
MESH_S = UNARY_DEADLINE_S + OVERTIME_S
GIVEN_S = {
    "direct": None,
    "in-process": None,
    "mesh": MESH_S,
    "mesh-in-process": MESH_S,
    "xds": None,
    "mesh-xds": MESH_S,
    "edge": UNARY_DEADLINE_S + SLACK_S,
}


@pytest_asyncio.fixture(params=OF_A_MESH, loop_scope="session")
async def meshed(request: pytest.FixtureRequest, mesh_port: int) -> AsyncIterator[Reached]:
    """An agent, called through a mesh on each of its paths."""
    async with reached_by(request.param, mesh_port) as reached:
        yield reached


class Busy:
    """Never there, however often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, _request: Any, _context: Any) -> Any:
        self.asked += 1
        raise TransientError(probe.BUSY, "busy", retry_after_s=0.01)

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield await self(request, context)


async def test_an_idempotent_call_is_repeated_by_one_party_at_most(it: Reached) -> None:
    """By the route where there is one, by the mesh where there is none, and by nobody else."""
    it.agent.script = busy = Busy()
    assert (await failed(it.stub.Echo(ask()))).reason == "BUSY"
    assert busy.asked == ATTEMPTS[it.path]


async def test_a_call_that_may_have_had_an_effect_is_made_once(it: Reached) -> None:
    """Whoever repeats what is idempotent leaves this alone."""
    it.agent.script = busy = Busy()
    await failed(it.stub.Narrow(ask()))
    assert busy.asked == 1
    it.agent.script = busy.stream
    await failed(it.stub.Tail(ask()).read())
    assert busy.asked == 2


async def test_the_contract_gives_a_call_its_time(it: Reached) -> None:
    """Where the caller names none, a mesh does, and the route takes nothing from it."""
    given: list[float | None] = []

    async def script(_request: Any, context: Any) -> Any:
        given.append(time_left_s(context))
        return said("")

    it.agent.script = script
    await it.stub.Echo(ask())
    expected_s = GIVEN_S[it.path]
    if expected_s is None:
        assert given == [None]
    else:
        assert given[0] is not None
        assert UNARY_DEADLINE_S < given[0] <= expected_s * ROUNDED


async def test_a_call_of_a_call_has_less_time(meshed: Reached) -> None:
    """What the one who calls on needs for itself stays with it."""
    given: list[float | None] = []

    async def script(request: Any, context: Any) -> Any:
        given.append(time_left_s(context))
        return await meshed.stub.Echo(ask("on")) if request.text == "hello" else said("")

    meshed.agent.script = script
    await meshed.stub.Echo(ask(), timeout=10.0)
    outer_s, inner_s = given
    assert outer_s is not None
    assert inner_s is not None
    assert outer_s <= 10.0 * ROUNDED
    assert inner_s <= (outer_s - reserve_s(outer_s)) * ROUNDED


async def test_a_call_that_cannot_be_in_time_is_not_made(meshed: Reached) -> None:
    """The one who was called first says what it lacked; the other is never asked."""
    asked: list[str] = []

    async def script(request: Any, _context: Any) -> Any:
        asked.append(request.text)
        current = SERVING.get()
        assert current is not None
        current.started_s -= UNARY_DEADLINE_S
        return await meshed.stub.Echo(ask("on"))

    meshed.agent.script = script
    failure = await failed(meshed.stub.Echo(ask()))
    assert (failure.code, failure.reason) == (CODE.DEADLINE_EXCEEDED, "DOWNSTREAM_LATE")
    assert failure.metadata["downstream_reason"] == "DEADLINE_TOO_SHORT"
    assert asked == ["hello"]


async def test_a_method_that_fails_on_and_on_is_left_alone(meshed: Reached) -> None:
    """It is asked again when the time is over, and other methods are asked throughout."""
    meshed.agent.script = busy = Busy()
    for _ in range(breaker.FAILURES_MIN):
        await meshed.reach.clock.advance(breaker.ROW_S_MIN)
        await failed(meshed.stub.Narrow(ask()))
    failure = await failed(meshed.stub.Narrow(ask()))
    assert (failure.code, failure.reason) == (CODE.UNAVAILABLE, "CIRCUIT_OPEN")
    assert busy.asked == breaker.FAILURES_MIN
    states = {view.method: view.state for view in meshed.mesh.breakers()}
    assert (states[probe.path("Narrow")], states[probe.path("Echo")]) == (State.OPEN, State.CLOSED)
    meshed.agent.script = waiting = Waiting()
    other = meshed.stub.Echo(ask())
    await waiting.entered.wait()
    waiting.freed.set()
    assert (await other).text == "hello"
    await meshed.reach.clock.advance(breaker.OPEN_S_MIN)
    assert (await meshed.stub.Narrow(ask())).text == "hello"
    assert {view.state for view in meshed.mesh.breakers()} == {State.CLOSED}


async def test_a_call_fails_once_for_the_breaker(meshed: Reached) -> None:
    """However many await it, and however often a stream is read that has ended."""
    meshed.agent.script = busy = Busy()
    call = meshed.stub.Narrow(ask())
    await asyncio.gather(failed(call), failed(call))
    await failed(call)
    meshed.agent.script = busy.stream
    stream = meshed.stub.Tail(ask())
    for _ in range(3):
        await failed(stream.read())
    counted = {view.method: view.failures for view in meshed.mesh.breakers() if view.failures}
    assert counted == {probe.path("Narrow"): 1, probe.path("Tail"): 1}


async def test_a_call_is_repeated_once_for_all_who_await_it(meshed: Reached) -> None:
    """Two who wait for one call do not make two of it."""
    meshed.agent.script = busy = Busy()
    call = meshed.stub.Echo(ask())
    await asyncio.gather(failed(call), failed(call), failed(call))
    assert busy.asked == ATTEMPTS[meshed.path]
