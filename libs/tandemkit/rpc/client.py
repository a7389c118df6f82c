"""The mesh as a caller sees it: `mesh.stub(SomeServiceStub)`, the generated class as it is.

The seam to the in-process path is `Near`. It is asked for every attempt at a call, by the method's
path ("/tandem.x.v1.YService/Verb"), and answers None, or what runs the call in this process: a
callable like a grpc.aio multicallable, `near(request, timeout=..., metadata=..., **options)`, which
returns a call object of the method's kind. It returns at once and runs the call in a task of its
own; `timeout` is already within the budget and `metadata` has the trace: it adds neither, no
breaker and no retry, for all of these are applied alike before both ways.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias, TypeVar

import grpc

from tandemkit.rpc import channel

Way: TypeAlias = Callable[..., Any]
Near: TypeAlias = Callable[[str], Way | None]
Stub = TypeVar("Stub")


class Mesh:
    """Makes stubs whose calls share one channel, one set of breakers and one retry budget."""

    def __init__(self, wire: grpc.aio.Channel, near: Near | None = None) -> None:
        self._channel = Calls(wire, near)

    def stub(self, make: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """A stub of the generated class `make`; as cheap as the class itself, and safe to keep."""
        return make(self._channel)


@asynccontextmanager
async def mesh(target: str, near: Near | None = None) -> AsyncIterator[Mesh]:
    """The mesh behind `target`: `xds:///tandem`, or the plain address of one server."""
    async with channel.shared(target) as wire:
        yield Mesh(wire, near)


class Calls(grpc.aio.Channel):
    """What a generated stub takes for a channel."""

    def __init__(self, wire: grpc.aio.Channel, near: Near | None) -> None:
        self._wire = wire
        self._near = near

    def unary_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.unary_unary(method, *codecs, **options))

    def unary_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.unary_stream(method, *codecs, **options))

    def stream_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.stream_unary(method, *codecs, **options))

    def stream_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.stream_stream(method, *codecs, **options))

    def _way(self, path: str, far: Way) -> Way:
        near = self._near
        if near is None:
            return far

        def call(*request: Any, **options: Any) -> Any:
            return (near(path) or far)(*request, **options)

        return call

    def get_state(self, try_to_connect: object = None) -> grpc.ChannelConnectivity:
        return self._wire.get_state(bool(try_to_connect))

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._wire.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._wire.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Does nothing: the channel closes with the mesh, whose other stubs use it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """The same."""
