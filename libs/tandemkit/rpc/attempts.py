"""How a stub's calls are made: on their line's terms, near or far, and perhaps twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import grpc

from tandemkit.rpc.failure import Refused
from tandemkit.rpc.line import Headers, Line
from tandemkit.rpc.unsent import Unsent

# What runs a call: `way(request, timeout=..., metadata=..., **options)` answers a call object of
# the method's kind at once, as a grpc.aio multicallable does.
Way: TypeAlias = Callable[..., Any]
# Asked before each attempt, by the method's path and the call's headers, who runs it in this
# process: None sends it over the wire. Deadline and trace are in what the way is given, which
# therefore adds neither.
Near: TypeAlias = Callable[[str, Headers], Way | None]


@dataclass(slots=True)
class Order:
    """One call, as it is sent: once, or once more with less time."""

    request: tuple[Any, ...]
    timeout_s: float | None
    headers: Headers
    options: dict[str, Any]

    def by(self, way: Way) -> Any:
        """The running call."""
        return way(*self.request, timeout=self.timeout_s, metadata=self.headers, **self.options)


class Road:
    """One method of one stub: its line, and the two ways that a call may take."""

    __slots__ = ("_far", "_near", "line")

    def __init__(self, line: Line, far: Way, near: Near | None) -> None:
        self.line = line
        self._far = far
        self._near = near

    def start(self, order: Order) -> tuple[Any, bool]:
        """The running call, and whether nobody but us would try it again."""
        if self._near is not None:
            way = self._near(self.line.path, order.headers)
            if way is not None:
                return order.by(way), True
        return order.by(self._far), self.line.terms.retries

    def unary(self, *request: Any, **options: Any) -> Any:
        """What a stub calls for a method without streams."""
        try:
            return UnaryCall(self, self._order(request, **options))
        except Refused as refused:
            return Unsent(refused.refusal)

    def collecting(self, *requests: Any, **options: Any) -> Any:
        """For a stream of requests, which nobody can send twice."""
        try:
            return UnaryCall(self, self._order(requests, **options), once=True)
        except Refused as refused:
            return Unsent(refused.refusal)

    def streaming(self, *requests: Any, **options: Any) -> Any:
        """For a stream of responses."""
        try:
            return StreamCall(self, self._order(requests, **options))
        except Refused as refused:
            return Unsent(refused.refusal)

    def _order(
        self,
        request: tuple[Any, ...],
        timeout: float | None = None,
        metadata: Headers = None,
        **options: Any,
    ) -> Order:
        timeout_s, headers = self.line.admit(timeout, metadata)
        return Order(request, timeout_s, headers, options)


@grpc.aio.Call.register
class UnaryCall:
    """One call as its caller sees it: the attempt that runs, and at most one more.

    It starts at once, as gRPC's own calls do. The second attempt is for a caller who awaits.
    """

    __slots__ = ("_attempt", "_may_repeat", "_order", "_road", "_started_s", "_stopped")

    def __init__(self, road: Road, order: Order, *, once: bool = False) -> None:
        self._road = road
        self._order = order
        self._stopped = False
        self._started_s = road.line.terms.clock.monotonic_s()
        self._attempt, ours = road.start(order)
        self._may_repeat = ours and not once

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            response = yield from self._attempt.__await__()
        except grpc.aio.AioRpcError as error:
            return (yield from self._failed(error).__await__())
        self._road.line.answered()
        return response

    def __getattr__(self, name: str) -> Any:
        """All else that a call answers is the last attempt's to say."""
        return getattr(self._attempt, name)

    def cancel(self) -> bool:
        self._stopped = True
        cancelled: bool = self._attempt.cancel()
        return cancelled

    async def _failed(self, error: grpc.aio.AioRpcError) -> Any:
        """The response to the second attempt; raises where there is none."""
        line, order = self._road.line, self._order
        line.failed(error.code(), order.timeout_s)
        left_s = self._left_s()
        pause_s = line.pause_s(error, left_s) if self._may_repeat and not self._stopped else None
        if pause_s is None:
            raise error
        self._may_repeat = False
        await line.terms.clock.sleep(pause_s)
        if self._stopped:
            raise asyncio.CancelledError
        self._attempt, _ours = self._road.start(replace(order, timeout_s=self._left_s()))
        try:
            response = await self._attempt
        except grpc.aio.AioRpcError as again:
            line.failed(again.code(), left_s)
            raise
        line.answered()
        return response

    def _left_s(self) -> float | None:
        timeout_s = self._order.timeout_s
        if timeout_s is None:
            return None
        return self._started_s + timeout_s - self._road.line.terms.clock.monotonic_s()


@grpc.aio.Call.register
class StreamCall:
    """A call whose responses its caller reads, one by one or with `async for`."""

    __slots__ = ("_call", "_line", "_timeout_s")

    def __init__(self, road: Road, order: Order) -> None:
        self._line = road.line
        self._timeout_s = order.timeout_s
        self._call, _ours = road.start(order)

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for message in self._call:
                self._line.heard()
                yield message
        except grpc.aio.AioRpcError as error:
            self._line.failed(error.code(), self._timeout_s)
            raise

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`. Each of them shows that the target lives."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self._line.failed(error.code(), self._timeout_s)
            raise
        self._line.heard()
        return message

    def __getattr__(self, name: str) -> Any:
        """Writing, cancelling and asking for the status are gRPC's own."""
        return getattr(self._call, name)
