"""The caller's side of a call that stays in the process: what a grpc.aio stub would return."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any, TypeAlias

import grpc

from tandemkit.rpc.local_exchange import MESSAGE_BYTES_MAX, Exchange, Status, oversize
from tandemkit.supervise.tasks import failure_of

_CODE = grpc.StatusCode
_CANCELLED = Status(_CODE.CANCELLED, "Locally cancelled by application!")
_FORGOTTEN = Status(_CODE.CANCELLED, "Cancelled upon garbage collection!")
_MIXED = "The iterator and read/write APIs may not be mixed on a single RPC."
_FINISHED = "RPC already finished."
_HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
_LOGGER = logging.getLogger("tandemkit.rpc")
Parse: TypeAlias = Callable[[bytes], Any]


class Caller(grpc.aio.Call):
    """What all four kinds have in common."""

    def __init__(self, exchange: Exchange, parse: Parse) -> None:
        self._exchange = exchange
        self._parse = parse

    def cancel(self) -> bool:
        return self._exchange.end(_CANCELLED, hung_up=True)

    def cancelled(self) -> bool:
        status = self._exchange.status
        return status is not None and status.code is _CODE.CANCELLED

    def done(self) -> bool:
        return self._exchange.status is not None

    def time_remaining(self) -> float | None:
        return self._exchange.left_s()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._exchange.watch(partial(callback, self))

    async def initial_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata.from_tuple(await self._exchange.opened())

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata.from_tuple((await self._exchange.over()).trailing)

    async def code(self) -> grpc.StatusCode:
        return (await self._exchange.over()).code

    async def details(self) -> str:
        return (await self._exchange.over()).details

    async def debug_error_string(self) -> str:
        status = await self._exchange.over()
        return "" if status.code is _CODE.OK else _told(status)

    async def wait_for_connection(self) -> None:
        if self.done():
            self._raise_for_status()

    def _raise_for_status(self) -> None:
        exchange = self._exchange
        status = exchange.status
        assert status is not None
        if status.code is _CODE.OK:
            return
        if exchange.hung_up:
            raise asyncio.CancelledError
        raise grpc.aio.AioRpcError(
            status.code,
            grpc.aio.Metadata.from_tuple(exchange.initial or ()),
            grpc.aio.Metadata.from_tuple(status.trailing),
            status.details,
            _told(status),
        )


def _told(status: Status) -> str:
    return f"in-process: {status.code.name}: {status.details}"


class OneResponse(Caller):
    """A call that is awaited."""

    _answer: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        exchange = self._exchange
        try:
            while exchange.status is None:
                yield from exchange.change()
        except asyncio.CancelledError:
            self.cancel()
            raise
        self._raise_for_status()
        if self._answer is None:
            self._answer = self._parse(exchange.response)
        return self._answer


class ManyResponses(Caller):
    """A call that is read, or iterated over, but not both."""

    _responses: AsyncIterator[Any] | None = None
    _read_before = False

    def __del__(self) -> None:
        if self._exchange.status is None:
            self._exchange.end(_FORGOTTEN, hung_up=True)

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._read_before:
            raise grpc.aio.UsageError(_MIXED)
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses

    async def read(self) -> Any:
        if not self.done():
            if self._responses is not None:
                raise grpc.aio.UsageError(_MIXED)
            self._read_before = True
        return await self._next()

    async def _iterate(self) -> AsyncIterator[Any]:
        while (response := await self._next()) is not grpc.aio.EOF:
            yield response

    async def _next(self) -> Any:
        exchange = self._exchange
        assert exchange.responses is not None
        try:
            wire = await exchange.responses.take()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if wire is not None and len(wire) > MESSAGE_BYTES_MAX:
            exchange.end(oversize("CLIENT", wire))
            wire = None
        if wire is None:
            self._raise_for_status()
            return grpc.aio.EOF
        exchange.settle()
        return self._parse(wire)


class ManyRequests(Caller):
    """A call whose requests are written, or come from an iterator, but not both."""

    _iterated = False
    _half_closed = False

    async def write(self, request: Any) -> None:
        self._refuse_mixing()
        await self._put(request)

    async def done_writing(self) -> None:
        self._refuse_mixing()
        self._half_close()

    async def send(self, requests: Any) -> None:
        """Writes what an iterator gives. One that fails hangs up, as gRPC's does."""
        error = await failure_of(self._send(requests))
        if error is not None and self.cancel():
            _LOGGER.debug("rpc.request_iterator_failed", exc_info=error)

    def iterates(self) -> None:
        """Bars `write`: the requests come from an iterator."""
        self._iterated = True

    async def _send(self, requests: Any) -> None:
        try:
            if hasattr(requests, "__aiter__"):
                async for request in requests:
                    await self._put(request)
            else:
                for request in requests:
                    await self._put(request)
        except asyncio.CancelledError:
            self.cancel()
            raise
        self._half_close()

    async def _put(self, request: Any) -> None:
        exchange = self._exchange
        if self.done():
            raise asyncio.InvalidStateError(_FINISHED)
        if self._half_closed:
            raise asyncio.InvalidStateError(_HALF_CLOSED)
        assert exchange.requests is not None
        try:
            taken = await exchange.requests.put(request.SerializeToString())
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not taken and self.done():
            self._raise_for_status()

    def _half_close(self) -> None:
        if not self.done():
            self._half_closed = True
            assert self._exchange.requests is not None
            self._exchange.requests.end()

    def _refuse_mixing(self) -> None:
        if self._iterated:
            raise grpc.aio.UsageError(_MIXED)


class UnaryUnary(OneResponse, grpc.aio.UnaryUnaryCall[Any, Any]):
    """One request, one response."""

    async def wait_for_connection(self) -> None:
        await self._exchange.over()
        self._raise_for_status()


class UnaryStream(ManyResponses, grpc.aio.UnaryStreamCall[Any, Any]):
    """One request, many responses."""


class StreamUnary(ManyRequests, OneResponse, grpc.aio.StreamUnaryCall[Any, Any]):
    """Many requests, one response."""


class StreamStream(ManyRequests, ManyResponses, grpc.aio.StreamStreamCall[Any, Any]):
    """Many requests and many responses, in any order."""
