"""The mesh as a caller sees it: `mesh.stub(SomeServiceStub)`, the generated class as it is.

What happens around each call, and what a stub takes for a channel: docs/design/clients.md.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.token import Token
from tandemkit.rpc import channel
from tandemkit.rpc.attempts import Near, Road, Way
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.borrowed import Borrowed
from tandemkit.rpc.breaker import BreakerView
from tandemkit.rpc.bulkhead import BoundedRoad, Bulkhead
from tandemkit.rpc.line import Line, Terms
from tandemkit.rpc.spans import UNTRACED, Tracing

Stub = TypeVar("Stub")


class Mesh:
    """Makes stubs whose calls share one channel, one breaker a method and one retry budget."""

    def __init__(self, wire: grpc.aio.Channel, terms: Terms, near: Near | None = None) -> None:
        self._calls = Calls(wire, terms, near)

    def stub(
        self, make: Callable[[grpc.aio.Channel], Stub], at_once_max: int = 0, caller: str = ""
    ) -> Stub:
        """A stub of the generated class `make`; as cheap as the class itself, and safe to keep. Of
        one with `at_once_max` no more calls are in progress at once: others fail. Services that ask
        who calls are told `caller`.
        """
        return make(self._calls.apart(at_once_max, caller))

    def breakers(self) -> list[BreakerView]:
        """One for each method that a stub was made for, in the order of their paths."""
        return [line.breaker.view() for _path, line in sorted(self._calls.lines.items())]


@asynccontextmanager
async def mesh(
    target: str,
    near: Near | None = None,
    *,
    clock: Clock | None = None,
    tracing: Tracing = UNTRACED,
    token: Token | None = None,
) -> AsyncIterator[Mesh]:
    """The mesh behind `target`: `xds:///tandem`, or the plain address of one server. Calls that
    leave the process show `token`.

    A process has one mesh; a second one would count failures and retries by itself.
    """
    # On xDS the route retries, by the same contract.
    retries = not target.startswith(channel.XDS)
    chance = tracing.share, random.random
    terms = Terms(target, retries, clock or SystemClock(), *chance, tracing.recorder)
    async with mesh_on(terms, near, token) as it:
        yield it


@asynccontextmanager
async def mesh_on(
    terms: Terms, near: Near | None = None, token: Token | None = None
) -> AsyncIterator[Mesh]:
    """The same, on terms of one's own."""
    async with channel.shared(terms.target) as wire:
        yield Mesh(bearing(wire, token), terms, near)


class Calls(Borrowed):
    """What a generated stub takes for a channel."""

    def __init__(self, wire: grpc.aio.Channel, terms: Terms, near: Near | None) -> None:
        super().__init__(wire)
        self.lines: dict[str, Line] = {}
        self._terms = terms
        self._near = near
        self._bulkhead: Bulkhead | None = None
        self._caller = ""

    def apart(self, at_once_max: int, caller: str) -> Calls:
        """The same lines, for a stub with a bound and a caller of its own."""
        if not at_once_max and not caller:
            return self
        calls = Calls(self._wire, self._terms, self._near)
        calls.lines, calls._caller = self.lines, caller
        calls._bulkhead = Bulkhead(at_once_max) if at_once_max else None
        return calls

    def unary_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._lead(method, self._wire.unary_unary(method, *codecs, **options)).unary

    def unary_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._lead(method, self._wire.unary_stream(method, *codecs, **options)).streaming

    def stream_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._lead(method, self._wire.stream_unary(method, *codecs, **options)).collecting

    def stream_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._lead(method, self._wire.stream_stream(method, *codecs, **options)).streaming

    def _lead(self, path: str, far: Way) -> Road:
        """All stubs of a method share its line."""
        line = self.lines.get(path)
        if line is None:
            line = self.lines[path] = Line(path, self._terms)
        if self._bulkhead is not None:
            return BoundedRoad(line, far, self._near, self._caller, self._bulkhead)
        return Road(line, far, self._near, self._caller)
