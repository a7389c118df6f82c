"""Calls of any agent for those who ask for it in another protocol: what they show goes with the
call, so an agent sees its true caller, who can do no more than by calling the agent itself.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from tandemkit.core.token import HEADER, Token
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.rpc import gate
from tandemkit.rpc.callers import BEARER_OF_KEY, CALLERS, OPERATOR, Callers
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.remote import CallFailed, RemoteFailure
from tandemkit.rpc.resuming import is_resumable, resuming

_MAKERS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Who asks, and what calls for them carry. Who showed the token is shown nowhere: calls have
    the token of the moment in any case, which may be a newer one.
    """

    caller: str
    key: str = ""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return ((HEADER, self.key),) if self.key else ()


_OPERATOR = Shown(OPERATOR)
# Whoever asks for what is public: it may have shown nothing, and may call nothing else.
ANYBODY = Shown("")


@dataclass(frozen=True, slots=True)
class Order:
    """A call that somebody asks for. Of the headers those that it shows are not for others to
    choose.
    """

    method: Method
    shown: Shown
    timeout_s: float | None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (*self.shown.headers, *self.others)


class Relay:
    """Made by `scope.relay()`."""

    def __init__(
        self, mesh: Mesh, methods: FleetMethods, token: Token | None, callers: Callers
    ) -> None:
        self.methods = methods
        self._mesh, self._token, self._callers = mesh, token, callers
        self._ways: dict[tuple[str, type[Message]], Any] = {}

    def shown(self, bearer: str) -> Shown | Refusal:
        """By the value of the header `authorization`; empty where the caller sent none."""
        if self._token is None or self._token.opens(bearer):
            return _OPERATOR
        if not bearer:
            return gate.missing()
        if not bearer.startswith(BEARER_OF_KEY):
            return gate.wrong()
        refusal = self._callers.refusal(bearer, is_asked=True)
        name = bearer[len(BEARER_OF_KEY) :].partition(".")[0]
        return refusal or Shown(f"{CALLERS}{name}", bearer)

    async def call(self, order: Order, message: Any) -> Any:
        """The response. `message` is of the method's request type, or an async iterator of such
        where the method takes a stream. Whoever leaves cancels the call. Raises CallFailed.
        """
        way = self._way(order)
        try:
            return await way(message, timeout=order.timeout_s, metadata=order.headers)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(RemoteFailure.of(error)) from error

    async def stream(self, order: Order, message: Any) -> AsyncGenerator[Any, None]:
        """The responses of a method that streams them, as they come; where its contract says how,
        they go on behind the loss of who served it. Closing it cancels the call. Raises CallFailed.
        """
        way = self._way(order)
        options: dict[str, Any] = {"timeout": order.timeout_s, "metadata": order.headers}
        if is_resumable(order.method):
            responses = resuming(way, message, **options)
        else:
            responses = _once(way, message, **options)
        try:
            async with aclosing(responses):
                async for response in responses:
                    yield response
        except grpc.aio.AioRpcError as error:
            raise CallFailed(RemoteFailure.of(error)) from error

    def _way(self, order: Order) -> Any:
        """What a stub has for the method. Raises CallFailed where the caller may not call it."""
        method, key = order.method, order.shown.key
        if order.shown is ANYBODY and not method.public:
            raise CallFailed(RemoteFailure.said(gate.missing()))
        if key and not method.public and not method.asks_caller:
            refusal = self._callers.refusal(key, is_asked=False)
            if refusal is not None:
                raise CallFailed(RemoteFailure.said(refusal))
        # A newer version of the agent has other types.
        kind = method.path, method.request
        found = self._ways.get(kind)
        if found is None:
            make = operator.methodcaller(
                _MAKERS[method.client_streaming, method.server_streaming],
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            found = self._ways[kind] = self._mesh.stub(make)
        return found


async def _once(way: Callable[..., Any], message: Any, **options: Any) -> AsyncGenerator[Any, None]:
    call = way(message, **options)
    try:
        async for response in call:
            yield response
    finally:
        call.cancel()
