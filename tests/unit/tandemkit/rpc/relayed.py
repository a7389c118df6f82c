"""A chain of real servers of the probe contract: each answers, fails, or calls the next one."""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tandem.type.v1 import platform_error_pb2
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import TransientError
from tandemkit.rpc import arrival
from tandemkit.rpc.client import Mesh, mesh_on
from tandemkit.rpc.context import time_left_s
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refused, of_platform
from tandemkit.rpc.line import Terms
from tandemkit.rpc.server import Server
from tandemkit.rpc.spans import UNTRACED, Tracing
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe


class ProbeStub:
    """As protoc would generate it."""

    def __init__(self, channel: Any) -> None:
        for name, kind in (
            ("Echo", channel.unary_unary),
            ("Narrow", channel.unary_unary),
            ("Collect", channel.stream_unary),
            ("Tail", channel.unary_stream),
            ("Chat", channel.stream_stream),
        ):
            method = kind(
                probe.path(name),
                request_serializer=probe.ProbeRequest.SerializeToString,
                response_deserializer=probe.ProbeResponse.FromString,
                _registered_method=True,
            )
            setattr(self, name, method)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@dataclass
class Came:
    """What one call brought along."""

    left_s: float | None
    traceparent: str


@dataclass
class Relay(Probe):
    """Fails `failing` times with `retry_after_s`, then calls `onward`, or answers as the probe."""

    failing: int = 0
    retry_after_s: float = 0.0
    is_full: bool = False
    onward: Callable[[Any], Awaitable[Any]] | None = None
    came: list[Came] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def Echo(self, request: Any, context: Any) -> Any:
        return await self._relay(request, context)

    async def Narrow(self, request: Any, context: Any) -> Any:
        return await self._relay(request, context)

    async def _relay(self, request: Any, context: Any) -> Any:
        traceparent = arrival.read(context.invocation_metadata())[0]
        self.came.append(Came(time_left_s(context), traceparent))
        if self.failing:
            self.failing -= 1
            raise TransientError(probe.BUSY, "busy", retry_after_s=self.retry_after_s)
        if self.is_full:
            reason = platform_error_pb2.PLATFORM_ERROR_REASON_OVERLOADED
            raise Refused(of_platform(reason, "full", retry_after_s=self.retry_after_s, final=True))
        if self.onward is not None:
            return await self.onward(request)
        return await self._act(request)


@asynccontextmanager
async def served(servicer: object, address: str) -> AsyncIterator[None]:
    server = Server()
    server.mount(Contract.of(probe.DESCRIPTOR), servicer)
    await server.start(address)
    try:
        yield
    finally:
        await server.drain(0)


@asynccontextmanager
async def socket() -> AsyncIterator[str]:
    """An address that nobody listens on yet."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        yield f"unix:{Path(folder) / 'relay.sock'}"


@dataclass
class Chain:
    """Two relays in a row and the mesh that leads to the first."""

    first: Relay
    last: Relay
    mesh: Mesh
    stub: Any


@asynccontextmanager
async def chained(**terms: Any) -> AsyncIterator[Chain]:
    first, last = Relay(), Relay()
    async with (
        socket() as near,
        socket() as far,
        served(first, near),
        served(last, far),
        mesh_on(_terms(near, **terms)) as to_first,
        mesh_on(_terms(far, **terms)) as to_last,
    ):
        first.onward = to_last.stub(ProbeStub).Echo
        yield Chain(first, last, to_first, to_first.stub(ProbeStub))


def _terms(
    target: str,
    *,
    clock: Clock | None = None,
    tracing: Tracing = UNTRACED,
    draw: Callable[[], float] = random.random,
) -> Terms:
    chance = tracing.share, draw
    return Terms(target, True, clock or SystemClock(), *chance, tracing.recorder)


def request(text: str = "hello") -> Any:
    return probe.ProbeRequest(text=text)


def grpc_error(code: grpc.StatusCode, *trailers: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    """A failure as a server that is not ours might send it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers))
