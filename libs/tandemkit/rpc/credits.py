"""A stream whose reader says how much may be on its way: docs/design/flow.md#credits.

For streams of requests and responses. The requests grant, each an amount more; what it counts,
messages or their bytes, is for both sides to agree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

Sent = TypeVar("Sent")


def one_each(_message: object) -> int:
    """Credits that count messages."""
    return 1


async def paced(
    messages: AsyncIterator[Sent],
    grants: AsyncIterator[int],
    cost: Callable[[Sent], int] = one_each,
) -> AsyncIterator[Sent]:
    """The messages, each made when there is credit for one, until the reader grants no more. A
    message may cost more than what is left; the next one then waits for the difference.
    """
    credit = 0
    while True:
        while credit <= 0:
            granted = await anext(grants, None)
            if granted is None:
                return
            credit += granted
        try:
            message = await anext(messages)
        except StopAsyncIteration:
            return
        credit -= cost(message)
        yield message


async def taken(
    call: Any,
    grant: Callable[[int], Any],
    window: int,
    cost: Callable[[Any], int] = one_each,
) -> AsyncIterator[Any]:
    """The responses of `call`, which gets no more than `window` ahead of whoever iterates: what was
    taken is granted again, half a window at a time. `grant` makes the request that says so.
    """
    await call.write(grant(window))
    owed = 0
    while (message := await call.read()) is not grpc.aio.EOF:
        yield message
        owed += cost(message)
        if 2 * owed >= window:
            await call.write(grant(owed))
            owed = 0
