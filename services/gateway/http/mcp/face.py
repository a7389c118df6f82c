"""The Model Context Protocol over HTTP, at one path: docs/design/mcp.md. A request is answered with
JSON, or with events where there is something to tell before the answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from services.gateway.http import body
from services.gateway.http.comments import comments
from services.gateway.http.denied import Denied
from services.gateway.http.face import Face, denied_headers
from services.gateway.http.front import Front
from services.gateway.http.mcp import failures, jsonrpc, versions
from services.gateway.http.mcp.clients import Clients
from services.gateway.http.mcp.exchange import Exchange
from services.gateway.http.mcp.feed import Feed, Feeds
from services.gateway.http.mcp.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    Fault,
    Id,
)
from services.gateway.http.mcp.server import Server
from services.gateway.http.mcp.sessions import HEADER as SESSION_HEADER
from services.gateway.http.mcp.sessions import Sessions
from services.gateway.http.mcp.streaming import ALIVE_S, EVENTS, streamed
from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.tasks import failure_of

PATH: Final = "/mcp"
_SUMMARY: Final = "Model Context Protocol: the fleet's tools, documents and memories for models."
_VERSION: Final = "1"
_BATCH_MAX: Final = 50
_EVENT_HEADER: Final = "last-event-id"
_LOGGER = logging.getLogger("services.gateway")


def face(front: Front, clock: Clock, errands: Errands, body_bytes_max: int) -> Face:
    """What clients configure as a URL. Answers are worked on in `errands`, for some outlive the
    connection that asked.
    """
    server = Server(front, clock, comments, _VERSION)
    mcp = _Mcp(Clients(front), server, Feeds(clock, errands), errands, body_bytes_max)
    routes = (web.post(PATH, mcp.post), web.get(PATH, mcp.get), web.delete(PATH, mcp.delete))
    return Face(PATH, _SUMMARY, routes, _says)


class _Mcp:
    def __init__(
        self, clients: Clients, server: Server, feeds: Feeds, errands: Errands, body_bytes_max: int
    ) -> None:
        self._clients, self._server, self._feeds = clients, server, feeds
        self._errands, self._body_bytes_max = errands, body_bytes_max

    async def post(self, request: web.Request) -> web.StreamResponse:
        """A message, or several in the one revision that has that."""
        identity = None
        try:
            value = jsonrpc.parsed(await body.read(request, self._body_bytes_max))
            if isinstance(value, list):
                return await self._batch(request, value)
            message = jsonrpc.incoming(value)
            if message is None:
                return web.Response(status=HTTPStatus.ACCEPTED)
            identity = message.id
            exchange = self._clients.exchange(request, message)
            if identity is None:
                self._clients.note(exchange)
                return web.Response(status=HTTPStatus.ACCEPTED)
            return await self._answered(request, exchange, identity)
        except Fault as fault:
            return _json(fault.answer(identity), fault.status)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """What comes unasked; with the id of an event what comes behind it."""
        try:
            return await self._got(request)
        except Fault as fault:
            return _json(fault.answer(None), fault.status)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """The end of a session, and of what runs in it."""
        try:
            self._clients.sessions.end(self._clients.owner(request))
        except Fault as fault:
            return _json(fault.answer(None), fault.status)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _got(self, request: web.Request) -> web.StreamResponse:
        if EVENTS not in request.headers.get("accept", "") or _is_modern(request):
            raise Fault(INVALID_REQUEST, f"a GET accepts {EVENTS}, before 2026-07-28", 405)
        owner = self._clients.owner(request)
        event = request.headers.get(_EVENT_HEADER)
        if event is None:
            return await self._listened(request)
        found = self._feeds.at(event, owner) if owner else None
        if found is None:
            said = "no answer is kept behind that event; make the request again"
            raise Fault(INVALID_REQUEST, said, 400)
        return await self._resumable(request, *found)

    async def _listened(self, request: web.Request) -> web.StreamResponse:
        feed, listeners = Feed(), self._server.listeners
        ending = self._errands.start(listeners.end(feed))
        try:
            async with listeners.told(feed, {}):
                return await streamed(request, feed)
        finally:
            ending.cancel()

    async def _answered(
        self, request: web.Request, exchange: Exchange, identity: Id
    ) -> web.StreamResponse:
        """Who hangs up cancels the work, unless it can come back for what is left of it."""
        feed, is_kept = exchange.feed, False
        takes_events = EVENTS in request.headers.get("accept", "")
        task = feed.work = self._errands.start(self._work(exchange, identity))
        self._clients.sessions.begin(feed.owner, identity, task)
        try:
            has_begun = await feed.grown(0, ALIVE_S if takes_events else None)
            if not takes_events:
                await asyncio.wait({task})
            if not takes_events or (has_begun and feed.has_ended and len(feed.lines) <= 1):
                return _whole(exchange)
            is_kept = bool(feed.owner)
            return await (self._resumable if is_kept else streamed)(request, feed)
        finally:
            if not is_kept:
                task.cancel()

    async def _resumable(
        self, request: web.Request, feed: Feed, number: int = 0
    ) -> web.StreamResponse:
        self._feeds.keep(feed)
        try:
            return await streamed(request, feed, number, resumable=True)
        finally:
            self._feeds.leave(feed)

    async def _work(self, exchange: Exchange, identity: Id) -> None:
        """Puts the response where it is waited for; whatever happens, that has an end."""
        error = await failure_of(self._response(exchange, identity))
        if error is not None:
            fields = {"method": exchange.message.method, "incident": ids.incident_id()}
            _LOGGER.error("mcp.defect", exc_info=error, extra={"tandem_fields": fields})
            said = "the gateway has a defect; its log has the incident"
            fault = Fault(INTERNAL_ERROR, said, incident=fields["incident"])
            exchange.feed.put(fault.answer(identity), last=True)

    async def _response(self, exchange: Exchange, identity: Id) -> None:
        feed = exchange.feed
        try:
            answer = await self._server.answer(exchange)
        except Fault as fault:
            feed.status, answer = fault.status, fault.answer(identity)
        except asyncio.CancelledError:
            feed.end()
            self._feeds.forget(feed.name)
            raise
        feed.put(answer, last=True)

    async def _batch(self, request: web.Request, values: list[Any]) -> web.Response:
        """Of clients that know it; all is answered at once. Raises Fault, and Denied
        where they are more than the caller may ask.
        """
        version = request.headers.get(versions.VERSION_HEADER, versions.UNNAMED)
        if version != versions.WITH_BATCHES or not 0 < len(values) <= _BATCH_MAX:
            said = f"only {versions.WITH_BATCHES} has several messages at once, up to {_BATCH_MAX}"
            raise Fault(INVALID_REQUEST, said, 400)
        self._clients.count(request, len(values))
        found = await asyncio.gather(*(self._one_of_many(request, one) for one in values))
        answers = [one for one in found if one is not None]
        return _json(answers) if answers else web.Response(status=HTTPStatus.ACCEPTED)

    async def _one_of_many(self, request: web.Request, value: object) -> Mapping[str, Any] | None:
        identity = None
        try:
            message = jsonrpc.incoming(value)
            if message is None:
                return None
            identity = message.id
            exchange = self._clients.exchange(request, message)
            if identity is not None:
                return await self._server.answer(exchange)
            self._clients.note(exchange)
        except Fault as fault:
            return fault.answer(identity)
        return None


def _whole(exchange: Exchange) -> web.Response:
    """The response alone, for a client that takes no events, or where there are none."""
    feed = exchange.feed
    if not feed.lines or not feed.has_ended:
        said = Fault(INVALID_REQUEST, "the request was cancelled")
        return _json(said.answer(exchange.message.id))
    headers = {}
    if exchange.message.method == "initialize":
        headers[SESSION_HEADER] = Sessions.new()
    return web.Response(
        status=feed.status,
        body=feed.lines[-1].encode(),
        content_type="application/json",
        headers=headers,
    )


def _json(value: Mapping[str, Any] | list[Any], status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(value).encode(), content_type="application/json"
    )


def _is_modern(request: web.Request) -> bool:
    return request.headers.get(versions.VERSION_HEADER) == versions.MODERN


def _says(_request: web.BaseRequest | None, said: Denied) -> web.Response:
    """Who may not ask, or what is no request: as an error that answers none."""
    code = PARSE_ERROR if said.http_status == HTTPStatus.BAD_REQUEST else INVALID_REQUEST
    answer = Fault(code, str(said), **failures.said(said)).answer(None)
    response = _json(answer, said.http_status)
    response.headers.update(denied_headers(said))
    return response
