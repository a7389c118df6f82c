"""Several streams read at once, as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

from tandemkit.supervise.errands import Errands
from tandemkit.supervise.tasks import failure_of

# Of one request: the rest of its prompts wait.
AT_ONCE = 8
Item = TypeVar("Item")
# The end of a stream is what it failed with, or nothing.
_Told = tuple[int, Item] | Exception | None


async def merged(streams: Sequence[AsyncIterator[Item]]) -> AsyncGenerator[tuple[int, Item], None]:
    """What each says as it says it, with its number. The first that fails ends all."""
    told: asyncio.Queue[_Told[Item]] = asyncio.Queue(maxsize=AT_ONCE)
    seats, errands = asyncio.Semaphore(AT_ONCE), Errands()

    async def hand_on(at: int, stream: AsyncIterator[Item]) -> None:
        async for one in stream:
            await told.put((at, one))

    async def read(at: int, stream: AsyncIterator[Item]) -> None:
        async with seats:
            await told.put(await failure_of(hand_on(at, stream)))

    for at, stream in enumerate(streams):
        errands.start(read(at, stream))
    try:
        left = len(streams)
        while left:
            one = await told.get()
            if isinstance(one, Exception):
                raise one
            if one is None:
                left -= 1
            else:
                yield one
    finally:
        await errands.end(0)
