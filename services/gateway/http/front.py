"""What every face of the gateway is given: who asks, whom the fleet has, and calls of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, Final

from aiohttp import web

from services.gateway.http import asking
from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied
from services.gateway.http.directory import Directory
from services.gateway.http.rates import Rates
from services.gateway.http.watches import Watches
from tandemkit.core.clock import Clock
from tandemkit.hosting.relay import Order, Relay
from tandemkit.rpc.contract import Method
from tandemkit.rpc.remote import CallFailed

_ASKED: Final = web.RequestKey("asked", Asked)


class Front:
    """Calls made here are made with what the caller showed, so they can do no more than it can."""

    def __init__(self, relay: Relay, clock: Clock, rates: Rates) -> None:
        self._relay, self.clock, self._rates = relay, clock, rates
        self.directory = Directory(relay.methods, clock)
        self._watches = Watches()

    def asked(self, request: web.Request) -> Asked:
        """Who asks, and how. Raises Denied for who may not, and for what cannot be understood."""
        found = request.get(_ASKED)
        if found is None:
            found = request[_ASKED] = asking.asked(request, self._relay, self.clock)
        return found

    def admit(self, request: web.Request) -> Asked:
        """Whoever asks, whatever it shows: for what is public, and good for nothing else. Raises
        Denied for what cannot be understood.
        """
        asked = request[_ASKED] = asking.by_anybody(request, self.clock)
        return asked

    def count(self, asked: Asked, times: int = 1, taken: int = 0) -> None:
        """Of a caller, as requests; `taken` of them were counted before. Whatever makes several
        calls of one request says how many. Raises Denied where they are too many.
        """
        self._rates.take(asked.caller, times, taken)

    def held(self, asked: Asked) -> AbstractContextManager[None]:
        """While a request of the caller is in progress. Raises Denied where it has too many."""
        return self._rates.held(asked.caller)

    async def call(self, asked: Asked, method: Method, message: Any) -> Any:
        """The response. `message` is of the method's request type, or an async iterator of such
        where the method takes a stream. Whoever leaves cancels the call at the agent too. Raises
        Denied.
        """
        fed = _Fed(message) if method.client_streaming else None
        try:
            return await self._relay.call(self._order(asked, method), fed or message)
        except CallFailed as error:
            raise _said(fed) or Denied.of(error.found) from error
        except asyncio.CancelledError as error:
            if (said := _said(fed)) is not None:
                raise said from error
            raise

    async def stream(self, asked: Asked, method: Method, message: Any) -> AsyncGenerator[Any, None]:
        """The responses of a method that streams them, as they come. Raises Denied, also after
        some. Closing it cancels the call at the agent.
        """
        fed = _Fed(message) if method.client_streaming else None
        order = self._order(asked, method)
        responses = self._relay.stream(order, fed or message)
        try:
            with self._watches.watch() if order.timeout_s is None else nullcontext():
                async with aclosing(responses) as found:
                    async for response in found:
                        yield response
        except CallFailed as error:
            raise _said(fed) or Denied.of(error.found) from error
        except asyncio.CancelledError as error:
            if (said := _said(fed) or self._watches.ended()) is not None:
                raise said from error
            raise

    async def ended(self) -> None:
        """Returns when the gateway ends: for what a face streams without an end of its own."""
        try:
            with self._watches.watch():
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._watches.ended() is None:
                raise

    def drain(self) -> None:
        """Ends the streams that have no end of their own, and would hold up that of the gateway."""
        self._watches.end()

    def _order(self, asked: Asked, method: Method) -> Order:
        headers = asked.headers_for(method)
        return Order(method, asked.shown, self._left_s(asked, method), headers)

    def _left_s(self, asked: Asked, method: Method) -> float | None:
        """What the contract allows where the caller asked for no less."""
        if asked.due_s is None:
            return method.deadline_s
        left_s = max(0.0, asked.due_s - self.clock.monotonic_s())
        return left_s if method.deadline_s is None else min(left_s, method.deadline_s)


class _Fed:
    """A stream of requests that remembers why it broke: all that gRPC says then is that the call
    was cancelled.
    """

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests
        self.said: Denied | None = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for one in self._requests:
                yield one
        except Denied as error:
            self.said = error
            raise


def _said(fed: _Fed | None) -> Denied | None:
    return fed.said if fed is not None else None
