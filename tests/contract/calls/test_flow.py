"""How far a sender gets ahead of its reader, and how much fits into a message of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from tandemkit.testing import probe
from tests.contract.calls.scripted import Reached, ask, said
from tests.contract.calls.test_unary import LIMIT_BYTES, failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
MESSAGE_CHARS = 1024 * 1024
# Far above what gRPC's windows grow to, far below what an unheld sender would be ahead.
AHEAD_MAX, MESSAGES = 32, 100


async def test_both_sides_may_send_before_they_read(it: Reached) -> None:
    """A window's worth of messages is on its way in each direction: nobody waits for ever."""

    async def script(requests: Any, _context: Any) -> AsyncIterator[Any]:
        for number in range(20):
            yield said(str(number))
        async for request in requests:
            yield said(request.text)

    it.agent.script = script
    call = it.stub.Chat()
    for number in range(20):
        await call.write(ask(str(number)))
    await call.done_writing()
    assert len([response async for response in call]) == 40


async def test_a_slow_reader_holds_the_agent(it: Reached) -> None:
    """A stream runs ahead of its reader by a window, not by all that it has."""
    sent = 0

    async def script(_request: Any, _context: Any) -> AsyncIterator[Any]:
        nonlocal sent
        for _ in range(MESSAGES):
            sent += 1
            yield said("x" * MESSAGE_CHARS)

    it.agent.script = script
    call = it.stub.Tail(ask())
    for read in range(1, MESSAGES // 2):
        await call.read()
        assert sent - read <= AHEAD_MAX
    call.cancel()


async def test_a_slow_agent_holds_the_writer(it: Reached) -> None:
    """The same in the other direction."""
    taken, go_on = 0, asyncio.Semaphore(0)

    async def script(requests: Any, _context: Any) -> Any:
        nonlocal taken
        while taken < 5:
            await go_on.acquire()
            await anext(requests)
            taken += 1
        return said("enough")

    it.agent.script = script
    written = 0

    def texts() -> Iterator[Any]:
        nonlocal written
        for _ in range(100_000):
            written += 1
            go_on.release()
            yield ask("x" * probe.TEXT_CHARS_MAX)

    assert (await it.stub.Collect(texts())).text == "enough"
    assert written <= AHEAD_MAX * 1024


async def test_a_message_past_4_mib_ends_a_stream(it: Reached) -> None:
    """The limit holds for each message of a stream, after those before it."""

    async def script(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield said("small")
        yield said("x" * LIMIT_BYTES)

    it.agent.script = script
    call = it.stub.Tail(ask())
    assert (await call.read()).text == "small"
    failure = await failed(call.read())
    assert (failure.code, failure.message[:7]) == (CODE.RESOURCE_EXHAUSTED, "CLIENT:")


async def drain(requests: Any, _context: Any) -> Any:
    return said(str(len([request async for request in requests])))


async def test_a_request_past_4_mib_ends_a_stream(it: Reached) -> None:
    """The same for what a caller sends."""
    it.agent.script = drain
    failure = await failed(it.stub.Collect(iter([ask("x" * LIMIT_BYTES)])))
    assert (failure.code, failure.message[:7]) == (CODE.RESOURCE_EXHAUSTED, "SERVER:")
