"""A stub's call whose responses are read: what its caller holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc

from tandemkit.rpc import spans
from tandemkit.rpc.unary_call import Watcher

if TYPE_CHECKING:
    from tandemkit.rpc.attempts import Order, Road


@grpc.aio.Call.register
class StreamCall:
    """A call whose responses its caller reads, one by one or with `async for`."""

    __slots__ = ("_call", "_counted", "_line", "_responses", "_timeout_s")

    def __init__(self, road: Road, order: Order) -> None:
        self._line = road.line
        self._timeout_s = order.timeout_s
        self._counted = False
        self._responses: AsyncIterator[Any] | None = None
        self._call, _ours = road.start(order)

    def __aiter__(self) -> AsyncIterator[Any]:
        """The same one each time. Raises `grpc.aio.UsageError` where the caller has read before."""
        if self._responses is None:
            # Asked for now, so that from now on gRPC refuses `read`.
            self._responses = self._iterate(aiter(self._call))
        return self._responses

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`. Each of them shows that the target lives."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self._failed(error)
            raise
        self._line.heard()
        return message

    def add_done_callback(self, callback: Watcher) -> None:
        """Runs `callback` with this call when it is over, or now."""

        def over(_call: object) -> None:
            callback(self)

        self._call.add_done_callback(over)

    def __getattr__(self, name: str) -> Any:
        """Writing, cancelling and asking for the status are gRPC's own."""
        if name in StreamCall.__slots__:  # not set yet: no call could be made
            raise AttributeError(name)
        return getattr(self._call, name)

    async def _iterate(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for message in responses:
                self._line.heard()
                yield message
        except grpc.aio.AioRpcError as error:
            self._failed(error)
            raise

    def _failed(self, error: grpc.aio.AioRpcError) -> None:
        """A call fails once, however often its caller asks."""
        if not self._counted:
            self._counted = True
            self._line.failed(error.code(), self._timeout_s)


class RecordedStream(StreamCall):
    """One that is sampled. Its span ends with what its reader is told last, or when nobody can read
    on: a callback at the call's end would keep the call of a reader who has forgotten it.
    """

    __slots__ = ("_span",)

    def __init__(self, road: Road, order: Order) -> None:
        self._span: spans.Span | None = None
        super().__init__(road, order)
        self._span = order.span

    def __del__(self) -> None:
        self._end()

    async def read(self) -> Any:
        try:
            message = await super().read()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            self._end()
            raise
        if message is grpc.aio.EOF:
            self._end()
        return message

    async def _iterate(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for message in super()._iterate(responses):
                yield message
        finally:
            if self._call.done():
                self._end()

    def _end(self) -> None:
        if self._span is not None:
            done = self._call.done()
            self._span.end(spans.code_of(self._call) if done else grpc.StatusCode.CANCELLED)
            self._span = None
