"""The handler's side of a call that stays in the process: what grpc.aio would hand it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Never

import grpc
from google.protobuf.message import Message

from tandemkit.rpc.context import IN_PROCESS
from tandemkit.rpc.local_exchange import MESSAGE_BYTES_MAX, OK, Exchange, Status, oversize
from tandemkit.rpc.local_metadata import Pairs, checked

_PEER = f"{IN_PROCESS}{os.getpid()}"
_FINISHED = "RPC already finished."
Metadata = Iterable[tuple[str, str | bytes]]


class LocalContext(grpc.aio.ServicerContext[Any, Any]):
    """Errors are those of grpc.aio, where a handler may have been written to expect them."""

    _aborted = False
    _code: grpc.StatusCode | None = None
    _details = ""
    _trailing: Pairs = ()

    def __init__(self, exchange: Exchange, parse: Callable[[bytes], Message | None]) -> None:
        self._exchange = exchange
        self._parse = parse

    async def read(self) -> Any:
        pipe = self._exchange.requests
        if pipe is None:
            raise grpc.aio.UsageError("the method takes one request, which was handed over")
        wire = await pipe.take()
        if wire is None:
            return grpc.aio.EOF
        if len(wire) > MESSAGE_BYTES_MAX:
            self._exchange.end(oversize("SERVER", wire))
            raise asyncio.CancelledError
        return self._parse(wire)

    async def requests(self) -> AsyncIterator[Any]:
        """The request stream, as a handler takes it."""
        while (request := await self.read()) is not grpc.aio.EOF:
            yield request

    async def write(self, message: Any) -> None:
        exchange = self._exchange
        if exchange.responses is None:
            raise grpc.aio.UsageError("the method has one response, which it returns")
        if exchange.answered:
            raise grpc.aio.UsageError(_FINISHED)
        wire = message.SerializeToString()
        if exchange.initial is None:
            exchange.open(())
        await exchange.responses.put(wire)

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        if self._exchange.answered:
            raise grpc.aio.UsageError(_FINISHED)
        if self._exchange.initial is not None:
            raise grpc.aio.UsageError("Send initial metadata failed: already sent")
        self._exchange.open(checked(initial_metadata))

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> Never:
        if self._aborted:
            raise grpc.aio.UsageError("Abort already called!")
        trailing = checked(trailing_metadata)
        self._aborted = True
        self._code, self._details = code, details or self._details
        self._trailing = trailing or self._trailing
        self._exchange.finish(Status(code, self._details, self._trailing))
        raise grpc.aio.AbortError("Locally aborted.")

    async def abort_with_status(self, status: grpc.Status) -> Never:
        said: Any = status
        await self.abort(said.code, said.details, said.trailing_metadata)

    def ending(self) -> Status:
        """How the call ends whose handler returned."""
        if self._code is None and not self._trailing and not self._details:
            return OK
        return Status(self._code or grpc.StatusCode.OK, self._details, self._trailing)

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self._trailing = checked(trailing_metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def set_details(self, details: str) -> None:
        self._details = details

    def invocation_metadata(self) -> Any:
        return self._exchange.sent

    def trailing_metadata(self) -> Any:
        return self._trailing

    def code(self) -> Any:
        return self._code

    def details(self) -> str:
        return self._details

    def time_remaining(self) -> Any:
        return self._exchange.left_s()

    def done(self) -> bool:
        return self._exchange.answered

    def cancelled(self) -> bool:
        status = self._exchange.status
        return status is not None and status.code is grpc.StatusCode.CANCELLED

    def add_done_callback(self, callback: Any) -> None:
        self._exchange.watch(partial(callback, self))

    def peer(self) -> str:
        return _PEER

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {"transport_security_type": [b"in-process"]}

    def set_compression(self, compression: grpc.Compression) -> None:
        """Nothing is compressed that goes nowhere."""

    def disable_next_message_compression(self) -> None:
        """The same."""
