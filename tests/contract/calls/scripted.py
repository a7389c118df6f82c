"""An agent of the probe contract whose every call does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tandemkit.rpc.client import Mesh
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.report import Report
from tandemkit.rpc.server import Server
from tandemkit.rpc.spans import Tracing
from tandemkit.testing import probe
from tandemkit.testing.spans import KeptSpans
from tandemkit.testing.tokens import own_token
from tests.contract.calls.paths import PATHS, SHARE, Die, Ground, Reach


class ProbeStub:
    """What the generator would write for the probe contract."""

    def __init__(self, channel: Any) -> None:
        kinds = {
            "Echo": channel.unary_unary,
            "Narrow": channel.unary_unary,
            "Collect": channel.stream_unary,
            "Tail": channel.unary_stream,
            "Burst": channel.unary_stream,
            "Chat": channel.stream_stream,
        }
        for name, kind in kinds.items():
            call = kind(
                probe.path(name),
                request_serializer=probe.ProbeRequest.SerializeToString,
                response_deserializer=probe.ProbeResponse.FromString,
                _registered_method=True,
            )
            setattr(self, name, call)


class Scripted:
    """Every method runs `script`: a coroutine function, or an async generator for a stream."""

    def __init__(self) -> None:
        self.script: Callable[[Any, Any], Any] = _echo

    async def Echo(self, request: Any, context: Any) -> Any:
        return await self.script(request, context)

    async def Tail(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self.script(request, context):
            yield response

    Narrow = Collect = Echo
    Burst = Chat = Tail


async def _echo(request: Any, _context: Any) -> Any:
    return said(request.text)


@dataclass
class Waiting:
    """A script that waits for ever, and tells what becomes of it."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Any, _context: Any) -> Any:
        self.entered.set()
        try:
            await self.freed.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return said(request.text)

    async def after_one(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The same for a stream, once it has sent a message."""
        yield said("first")
        yield await self(request, context)


@dataclass
class Reached:
    """The agent, and a stub for it on one of the paths; `luck` says which calls that come without a
    trace begin one.
    """

    path: str
    agent: Scripted
    server: Server
    stub: Any
    reach: Reach
    spans: KeptSpans
    luck: Die

    @property
    def mesh(self) -> Mesh:
        assert self.reach.mesh is not None
        return self.reach.mesh


@asynccontextmanager
async def reached_by(path: str, mesh_port: int) -> AsyncIterator[Reached]:
    spans = KeptSpans()
    report = Report(Tracing(SHARE, spans.recorder), draw=(luck := Die()))
    with own_token() as token:
        agent, server = Scripted(), Server(report, token)
        server.mount(Contract.of(probe.DESCRIPTOR), agent)
        server.health.put(probe.SERVICE, serving=True)
        async with PATHS[path](Ground(server, mesh_port, spans)) as reach:
            try:
                yield Reached(path, agent, server, ProbeStub(reach.channel), reach, spans, luck)
            finally:
                await server.drain(0)


def ask(text: str = "hello") -> Any:
    return probe.ProbeRequest(text=text)


def said(text: str) -> Any:
    return probe.ProbeResponse(text=text)


def early(metadata: Any) -> list[Any]:
    """Initial metadata without the date, which an HTTP proxy on the way adds."""
    return [pair for pair in metadata if pair[0] != "date"]
