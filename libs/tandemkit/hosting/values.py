"""Values of the fleet's registry, as an agent keeps its own in them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.rpc.remote import RemoteFailure

_RETRY_S = 1.0
_CODE = grpc.StatusCode


class Overtaken(Exception):
    """Somebody else wrote in between."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value's content, and its version in the registry; None and 0 where there is none."""

    content: bytes | None
    version: int


class Values(Protocol):
    """What is asked of the registry. All raise TransientError where it does not answer."""

    async def read(self, key: str) -> Stored:
        """A value as last written."""

    async def write(self, key: str, schema: str, content: bytes, expected: int) -> None:
        """Over that version only, else raises Overtaken; CallerError where it is too large."""

    async def remove(self, key: str) -> None:
        """Harmless where there is none."""

    def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        """The value as it is, and whenever it is another one."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the agent's callers are told: reasons of its family."""

    unreachable: int
    full: int
    full_message: str


class StubbedValues:
    """Behind the registry's stub."""

    def __init__(self, stub: registry_rpc.RegistryServiceAsyncStub, refusals: Refusals) -> None:
        self._stub, self._refusals = stub, refusals

    async def read(self, key: str) -> Stored:
        try:
            found = await self._stub.GetValue(registry.GetValueRequest(key=key))
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.NOT_FOUND:
                return Stored(None, 0)
            raise self._lost(error) from error
        return Stored(found.value.content, found.version)

    async def write(self, key: str, schema: str, content: bytes, expected: int) -> None:
        value = registry.StoredValue(schema=schema, content=content)
        request = registry.PutValueRequest(key=key, value=value, expected_version=expected)
        try:
            await self._stub.PutValue(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.ABORTED:
                raise Overtaken from error
            if error.code() is _CODE.INVALID_ARGUMENT:
                raise CallerError(self._refusals.full, self._refusals.full_message) from error
            raise self._lost(error) from error

    async def remove(self, key: str) -> None:
        with self._answering():
            await self._stub.DeleteValue(registry.DeleteValueRequest(key=key))

    async def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        call: Any = self._stub.WatchValue(registry.WatchValueRequest(key=key))
        try:
            with self._answering():
                async for told in call:
                    has_one = told.HasField("value")
                    yield Stored(told.value.content if has_one else None, told.version)
        finally:
            call.cancel()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise self._lost(error) from error

    def _lost(self, error: grpc.aio.AioRpcError) -> TransientError:
        cause = RemoteFailure.of(error).message
        reason, message = self._refusals.unreachable, "the registry does not answer"
        return TransientError(reason, message, retry_after_s=_RETRY_S, cause=cause)
