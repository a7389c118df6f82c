"""How far a stream gets ahead of its reader, on every path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.rpc.credits import paced, taken
from tests.contract.calls.scripted import Reached, ask, said

# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
WINDOW, MANY = 8, 20_000


class Source:
    """A producer that never waits by itself."""

    def __init__(self, text: str = "x") -> None:
        self.made, self._text = 0, text

    async def messages(self) -> AsyncIterator[Any]:
        for _ in range(MANY):
            self.made += 1
            yield said(self._text)

    async def granted(self, requests: Any, _context: Any) -> AsyncIterator[Any]:
        """Makes what the reader grants."""
        grants = (int(request.text) async for request in requests)
        async for message in paced(self.messages(), grants):
            yield message

    async def unasked(self, _requests: Any, _context: Any) -> AsyncIterator[Any]:
        """Makes what the transport takes."""
        async for message in self.messages():
            yield message


def grant(count: int) -> Any:
    return ask(str(count))


async def test_m028_a_producer_gets_no_further_ahead_than_was_granted(it: Reached) -> None:
    """By messages, however small, where the transport's window counts bytes alone."""
    source = Source()
    it.agent.script = source.granted
    read = 0
    async for _message in taken(call := it.stub.Chat(), grant, WINDOW):
        read += 1
        assert source.made - read < WINDOW
        if read == 10 * WINDOW:
            break
    await _settle(it, call)
    assert source.made - read <= WINDOW
    call.cancel()
    unasked = Source()
    it.agent.script = unasked.unasked
    call = it.stub.Chat()
    await call.read()
    await _settle(it, call)
    assert unasked.made > 10 * WINDOW
    call.cancel()


async def test_a_reader_that_grants_no_more_ends_the_stream(it: Reached) -> None:
    """It gets what it granted, and the end."""
    it.agent.script = Source().granted
    call = it.stub.Chat()
    await call.write(grant(3))
    await call.done_writing()
    assert len([message async for message in call]) == 3


async def test_credits_may_count_bytes() -> None:
    """A message larger than what is left passes, and the next one waits for the difference."""
    source, granted = Source("x" * 10), list[int]()

    async def grants() -> AsyncIterator[int]:
        for amount in (5, 4, 3, 100):
            granted.append(amount)
            yield amount

    made = paced(source.messages(), grants(), lambda message: len(message.text))
    await anext(made)
    assert granted == [5]
    await anext(made)
    assert granted == [5, 4, 3]


async def _settle(it: Reached, call: Any) -> None:
    """Long enough for a producer to run ahead that may: another call goes there and back."""
    for _ in range(20):
        await SystemClock().sleep(0.01)
    assert not call.done()
