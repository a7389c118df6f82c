"""Who wants to be told when there are other tools. As long as somebody does, the fleet is looked at
now and then; else nobody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from services.gateway.http.denied import Denied
from services.gateway.http.front import Front
from services.gateway.http.mcp import jsonrpc
from services.gateway.http.mcp.exchange import Exchange
from services.gateway.http.mcp.feed import Feed
from services.gateway.http.mcp.tools import Catalogue, Tool
from tandemkit.core.clock import Clock
from tandemkit.supervise.errands import Errands

_LOOK_S: Final = 2.0
_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
_CHANGED: Final = "notifications/tools/list_changed"


class Listeners:
    """The feeds that are told, each with what goes with the news."""

    def __init__(self, front: Front, catalogue: Catalogue, clock: Clock) -> None:
        self._front, self._catalogue, self._clock = front, catalogue, clock
        self._feeds: dict[Feed, Mapping[str, Any]] = {}
        self._errands = Errands()
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def told(self, feed: Feed, meta: Mapping[str, Any]) -> AsyncIterator[None]:
        """Inside of the block."""
        self._feeds[feed] = meta
        if self._looking is None:
            self._looking = self._errands.start(self._look())
        try:
            yield
        finally:
            del self._feeds[feed]
            if not self._feeds and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def listen(self, exchange: Exchange) -> dict[str, Any]:
        """`subscriptions/listen`: until the client has enough of it, or the gateway ends."""
        wanted = jsonrpc.object_of(exchange.params, "notifications")
        meta = {_SUBSCRIPTION: exchange.message.id}
        is_wanted = wanted.get("toolsListChanged") is True
        agreed = {"toolsListChanged": True} if is_wanted else {}
        said = {"_meta": meta, "notifications": agreed}
        exchange.feed.put(jsonrpc.notification("notifications/subscriptions/acknowledged", said))
        async with AsyncExitStack() as stack:
            if is_wanted:
                await stack.enter_async_context(self.told(exchange.feed, {"_meta": meta}))
            await self._front.ended()
        return {"_meta": meta}

    async def end(self, feed: Feed) -> None:
        """When the gateway does."""
        await self._front.ended()
        feed.end()

    async def _look(self) -> None:
        known = await self._tools()
        while True:
            await self._clock.sleep(_LOOK_S)
            found = await self._tools()
            if found != known:
                known = found
                for feed, meta in self._feeds.items():
                    feed.put(jsonrpc.notification(_CHANGED, meta or None))

    async def _tools(self) -> Mapping[str, Tool]:
        """As they were known last, where nobody knows."""
        try:
            return await self._catalogue.tools()
        except Denied:
            return {}
