"""Who asks, in which revision of the protocol, and as which of its sessions."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.gateway.http.front import Front
from services.gateway.http.mcp import versions
from services.gateway.http.mcp.exchange import LEVEL_KEY, Exchange, level_of
from services.gateway.http.mcp.feed import Feed
from services.gateway.http.mcp.jsonrpc import Incoming
from services.gateway.http.mcp.sessions import HEADER, Sessions

# Of a client that did not say from which on it wants to be told.
_LEVEL: Final = "warning"


class Clients:
    """What a request says of who sent it."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.sessions = Sessions()

    def note(self, exchange: Exchange) -> None:
        """A notification. Others than of a cancellation tell us nothing."""
        if exchange.message.method == "notifications/cancelled":
            self.sessions.cancel(exchange.feed.owner, exchange.params.get("requestId"))

    def exchange(self, request: web.Request, message: Incoming) -> Exchange:
        """Raises Fault."""
        version = versions.version_of(message, request.headers)
        is_modern = version == versions.MODERN
        owner = "" if is_modern or message.method == "initialize" else self.owner(request)
        if message.method == "logging/setLevel":
            self.sessions.set_level(owner, level_of(message.params.get("level")))
        if is_modern:
            level = message.meta.get(LEVEL_KEY, "")
        else:
            level = self.sessions.level(owner) or request.query.get("level", _LEVEL)
        agents = request.query.get("agents", "")
        return Exchange(
            asked=self._front.asked(request),
            message=message,
            version=version,
            feed=Feed(owner),
            level=level and level_of(level),
            agents=frozenset(filter(None, agents.split(","))),
        )

    def count(self, request: web.Request, times: int) -> None:
        """Messages that came as one request. Raises Denied."""
        self._front.count(self._front.asked(request), times, taken=1)

    def owner(self, request: web.Request) -> str:
        """Raises Fault."""
        caller = self._front.asked(request).caller
        return self.sessions.owner(caller, request.headers.get(HEADER))
