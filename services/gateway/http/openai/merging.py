"""Several streams read at once, as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

from services.gateway.http.denied import Denied
from tandemkit.supervise.errands import Errands

# Of one request: the rest of its prompts wait.
AT_ONCE = 8
Item = TypeVar("Item")
_Told = tuple[int, Item] | Denied | None


async def merged(streams: Sequence[AsyncIterator[Item]]) -> AsyncGenerator[tuple[int, Item], None]:
    """What each says as it says it, with its number. The first that fails ends all."""
    told: asyncio.Queue[_Told[Item]] = asyncio.Queue(maxsize=AT_ONCE)
    seats, errands = asyncio.Semaphore(AT_ONCE), Errands()

    async def read(at: int, stream: AsyncIterator[Item]) -> None:
        async with seats:
            try:
                async for one in stream:
                    await told.put((at, one))
            except Denied as denied:
                await told.put(denied)
            await told.put(None)

    for at, stream in enumerate(streams):
        errands.start(read(at, stream))
    try:
        left = len(streams)
        while left:
            one = await told.get()
            if isinstance(one, Denied):
                raise one
            if one is None:
                left -= 1
            else:
                yield one
    finally:
        await errands.end(0)
