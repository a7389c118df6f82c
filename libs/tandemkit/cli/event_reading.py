"""The event store as somebody asks it who looks back: from a moment on, or for the last events.

Positions count from 1 without a gap, so both are found by halving.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc

_ANSWER_WITHIN_S = 10.0
_PAGE = 1000
# Where few events are of the streams that are asked for, it is looked back so much further.
_WIDEN = 8


class Reader:
    """Reads events of the streams that begin with `prefix`, over a channel to the store."""

    def __init__(self, channel: grpc.aio.Channel, prefix: str) -> None:
        self._store: Any = rpc.EventStoreServiceStub(channel)
        self._prefix = prefix

    async def head(self) -> int:
        """The last position of all; 0 where nothing was recorded."""

        async def is_there(position: int) -> bool:
            return bool(await self._page(position - 1, "", 1))

        return await _last(is_there)

    async def before(self, moment: datetime) -> int:
        """The last position that was recorded earlier, by the store's clock."""

        async def is_earlier(position: int) -> bool:
            found = await self._page(position - 1, "", 1)
            return bool(found) and found[0].record_time.ToDatetime(tzinfo=UTC) < moment

        return await _last(is_earlier)

    async def behind(self, position: int) -> AsyncIterator[pb.Event]:
        """All events behind a position that are there now."""
        while page := await self._page(position, self._prefix, _PAGE):
            for event in page:
                yield event
            position = page[-1].position

    async def last(self, count: int, head: int, above: int = 0) -> list[pb.Event]:
        """The last so many up to `head`, none of them at `above` or below."""
        width = count
        while count:
            start = max(above, head - width)
            found = [one async for one in self.behind(start) if one.position <= head]
            if len(found) >= count or start == above:
                return found[-count:]
            width *= _WIDEN
        return []

    async def follow(self, position: int) -> AsyncIterator[pb.Event]:
        """All events behind a position, and then each new one."""
        request = pb.FollowEventsRequest(stream_prefix=self._prefix, after_position=position)
        async for response in self._store.FollowEvents(request):
            yield response.event

    async def _page(self, position: int, prefix: str, count: int) -> list[pb.Event]:
        request = pb.ReadEventsRequest(
            stream_prefix=prefix, after_position=position, events_max=count
        )
        answer = await self._store.ReadEvents(request, timeout=_ANSWER_WITHIN_S)
        return list(answer.events)


async def _last(holds: Callable[[int], Awaitable[bool]]) -> int:
    """The last number from 1 on for which it holds, where it holds for none behind that; else 0."""
    low, step = 0, 1
    while await holds(low + step):
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if await holds(middle):
            low = middle
        else:
            high = middle
    return low
