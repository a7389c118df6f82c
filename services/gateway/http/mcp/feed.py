"""What one request is answered, message by message, and for whom that is kept: a client whose
connection broke goes on behind the last message that it got.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from services.gateway.http.mcp import jsonrpc
from tandemkit.core.clock import Clock
from tandemkit.supervise.errands import Errands

_KEEP_S = 60.0
_KEPT_MAX = 64
_ID_BYTES = 12


class Feed:
    """The messages of one answer, in order, the last of them the response. `owner` may go on with
    it; empty: nobody. `work` makes them.
    """

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self.name = secrets.token_urlsafe(_ID_BYTES)
        self.lines: list[str] = []
        self.has_ended = False
        # Of HTTP, where the response is all there is.
        self.status = 200
        self.work: asyncio.Task[None] | None = None
        # Connections that read it, and how often one of them ended.
        self.readers = self.departures = 0
        self._grown = asyncio.Event()

    def put(self, message: Mapping[str, Any], *, last: bool = False) -> None:
        """None after the last."""
        if not self.has_ended:
            self.lines.append(jsonrpc.written(message))
            self.has_ended = last
            self._wake()

    def end(self) -> None:
        """Without a response, for a request that was cancelled."""
        self.has_ended = True
        self._wake()

    def abandon(self) -> None:
        """Nobody can read it any more."""
        if self.work is not None:
            self.work.cancel()

    async def grown(self, number: int, within_s: float | None = None) -> bool:
        """Whether there are more than `number`, or it has ended, which is waited for so long."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.lines) <= number and not self.has_ended:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


class Feeds:
    """Those of connections that may break, 64 of them, for a minute after the last connection."""

    def __init__(self, clock: Clock, errands: Errands) -> None:
        self._clock, self._errands = clock, errands
        self._kept: OrderedDict[str, Feed] = OrderedDict()

    def keep(self, feed: Feed) -> None:
        """For a connection that reads it from now on."""
        feed.readers += 1
        self._kept[feed.name] = feed
        self._kept.move_to_end(feed.name)
        while len(self._kept) > _KEPT_MAX:
            _, oldest = self._kept.popitem(last=False)
            if not oldest.readers:
                oldest.abandon()

    def leave(self, feed: Feed) -> None:
        """That connection is over."""
        feed.readers -= 1
        feed.departures += 1
        if feed.name in self._kept:
            self._errands.start(self._forget_later(feed.name, feed.departures))
        elif not feed.readers:
            feed.abandon()

    async def _forget_later(self, name: str, departures: int) -> None:
        """When who lost the connection would have come back. What made room for others meanwhile
        is not held by who waits here.
        """
        await self._clock.sleep(_KEEP_S)
        feed = self._kept.get(name)
        if feed is not None and not feed.readers and feed.departures == departures:
            self.forget(name)
            feed.abandon()

    def forget(self, name: str) -> None:
        """Harmless where it is not kept."""
        self._kept.pop(name, None)

    def at(self, event: str, owner: str) -> tuple[Feed, int] | None:
        """Where its owner was by the id of the last event; None for what is not kept."""
        name, _, number = event.rpartition(".")
        feed = self._kept.get(name)
        if feed is None or feed.owner != owner or not number.isdecimal():
            return None
        return feed, int(number)
