"""A call that was refused before it was sent, in the shape of one that was."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NoReturn

import grpc
from grpc.aio import AioRpcError, Metadata

from tandemkit.rpc.failure import Refusal


@grpc.aio.Call.register
class Unsent:
    """A call of any of the four kinds that has failed already."""

    def __init__(self, refusal: Refusal) -> None:
        self._error = AioRpcError(
            refusal.code, Metadata(), Metadata(*refusal.trailers()), refusal.message
        )

    def __await__(self) -> Generator[Any, None, NoReturn]:
        return self.read().__await__()

    def __aiter__(self) -> Unsent:
        return self

    async def __anext__(self) -> NoReturn:
        raise self._error

    async def read(self) -> NoReturn:
        raise self._error

    async def write(self, _request: object) -> NoReturn:
        raise self._error

    async def done_writing(self) -> None:
        """There is nobody to tell."""

    async def wait_for_connection(self) -> NoReturn:
        raise self._error

    async def code(self) -> grpc.StatusCode:
        return self._error.code()

    async def details(self) -> str:
        return self._error.details() or ""

    async def initial_metadata(self) -> Metadata:
        return Metadata()

    async def trailing_metadata(self) -> Metadata:
        return self._error.trailing_metadata() or Metadata()

    async def debug_error_string(self) -> str:
        return ""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    def time_remaining(self) -> float | None:
        return None

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True
