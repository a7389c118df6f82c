"""A stub with a bound on its calls in progress, on each path of a mesh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.contract.calls.paths import OF_A_MESH
from tests.contract.calls.scripted import ProbeStub, Reached, Waiting, ask, reached_by
from tests.contract.calls.test_unary import failed

# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
AT_ONCE = 3


@pytest_asyncio.fixture(params=OF_A_MESH, loop_scope="session")
async def it(request: pytest.FixtureRequest, mesh_port: int) -> AsyncIterator[Reached]:
    async with reached_by(request.param, mesh_port) as reached:
        yield reached


async def test_m025_a_slow_agent_takes_no_more_of_its_caller_than_its_part(it: Reached) -> None:
    """Calls beyond the bound fail at once and are not sent; other stubs have room; when a call is
    over, the next one is sent.
    """
    it.agent.script = waiting = Waiting()
    bounded: Any = it.mesh.stub(ProbeStub, at_once_max=AT_ONCE)
    calls = [bounded.Echo(ask()) for _ in range(AT_ONCE)]
    failure = await failed(bounded.Echo(ask()))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "BULKHEAD_FULL",
    )
    assert failure.metadata["at_once_max"] == str(AT_ONCE)
    another = it.stub.Echo(ask())
    waiting.freed.set()
    answers = await asyncio.gather(*calls, another)
    assert {one.text for one in answers} == {"hello"}
    assert (await bounded.Echo(ask())).text == "hello"


async def test_m025_every_end_of_a_call_gives_its_place_back(it: Reached) -> None:
    """A failure, a deadline, a cancellation, and the end of a stream of either side."""
    it.agent.script = waiting = Waiting()
    bounded: Any = it.mesh.stub(ProbeStub, at_once_max=1)
    for _ in range(2):
        await failed(bounded.Echo(ask(), timeout=0.05))
        call = bounded.Echo(ask())
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    waiting.freed.set()
    for _ in range(2):
        assert (await bounded.Echo(ask())).text == "hello"
    it.agent.script = waiting.after_one
    for _ in range(2):
        stream = bounded.Tail(ask())
        assert [one.text async for one in stream] == ["first", "hello"]
        await failed(bounded.Tail(ask(), timeout=-1).read())
