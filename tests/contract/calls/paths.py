"""The ways in which a call reaches an agent, each as a channel that a generated stub takes.

A further one is one more entry in `PATHS`: the suite holds it to what `direct` does.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from grpc import experimental

from tandemkit.rpc.attempts import Near
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.channel import XDS
from tandemkit.rpc.client import Mesh, mesh_on
from tandemkit.rpc.line import Terms
from tandemkit.rpc.server import Server
from tandemkit.testing.clock import Hasty
from tandemkit.testing.spans import KeptSpans
from tests.contract.calls.edge_path import through_the_edge

TARGET = "xds:///tandem"
SHARE = 0.01


@dataclass
class Die:
    """Says the same until it is told otherwise; below SHARE a call begins a trace."""

    says: float = 1.0

    def __call__(self) -> float:
        return self.says


@dataclass
class Reach:
    """How stubs reach the agent: the channel that they are made with. Where a mesh is behind it,
    also that, the clock by which it goes, and the die that says which calls begin a trace. `bare`
    is the same way for calls that show no token, where there is one.
    """

    channel: Any
    mesh: Mesh | None = None
    clock: Hasty = field(default_factory=Hasty)
    die: Die = field(default_factory=Die)
    bare: Any = None


@dataclass(frozen=True)
class Ground:
    """What a path leads over: a server that does not listen yet, the port to which a control plane
    leads calls, and where the spans of both sides go.
    """

    server: Server
    mesh_port: int
    spans: KeptSpans


Path: TypeAlias = Callable[[Ground], AbstractAsyncContextManager[Reach]]


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    """The address of `server`, on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        await server.start(address)
        yield address


@asynccontextmanager
async def meshed(target: str, ground: Ground, near: Near | None = None) -> AsyncIterator[Reach]:
    """A mesh whose time and luck are the test's."""
    clock, die = Hasty(), Die()
    terms = Terms(target, not target.startswith(XDS), clock, SHARE, die, ground.spans.recorder)
    async with mesh_on(terms, near, ground.server.token) as stubs:
        yield Reach(stubs.stub(_channel), stubs, clock, die)


@asynccontextmanager
async def direct(ground: Ground) -> AsyncIterator[Reach]:
    """grpc.aio alone: what the others are measured by."""
    async with listening(ground.server) as address, grpc.aio.insecure_channel(address) as channel:
        yield Reach(bearing(channel, ground.server.token), bare=channel)


@asynccontextmanager
async def in_process(ground: Ground) -> AsyncIterator[Reach]:
    """The server is called where it is; what cannot be goes over the socket."""
    async with direct(ground) as far:
        bare = NearFirst(far.bare, ground.server)
        yield Reach(NearFirst(far.channel, ground.server), bare=bare)


@asynccontextmanager
async def mesh_direct(ground: Ground) -> AsyncIterator[Reach]:
    """What an agent's own stubs use, for an agent elsewhere."""
    async with listening(ground.server) as address, meshed(address, ground) as reach:
        yield reach


@asynccontextmanager
async def mesh_in_process(ground: Ground) -> AsyncIterator[Reach]:
    """The same, for an agent of the same host."""
    near = ground.server.local.way
    async with listening(ground.server) as address, meshed(address, ground, near) as reach:
        yield reach


@asynccontextmanager
async def xds(ground: Ground) -> AsyncIterator[Reach]:
    """A client without our code: the control plane's routes decide."""
    await ground.server.start(f"127.0.0.1:{ground.mesh_port}")
    insecure: Any = experimental.insecure_channel_credentials
    credentials = grpc.xds_channel_credentials(insecure())
    async with grpc.aio.secure_channel(TARGET, credentials) as channel:
        await channel.channel_ready()
        yield Reach(bearing(channel, ground.server.token), bare=channel)


@asynccontextmanager
async def mesh_xds(ground: Ground) -> AsyncIterator[Reach]:
    """What an agent's own stubs use in a fleet."""
    await ground.server.start(f"127.0.0.1:{ground.mesh_port}")
    async with meshed(TARGET, ground) as reach:
        await reach.channel.channel_ready()
        yield reach


@asynccontextmanager
async def edged(ground: Ground) -> AsyncIterator[Reach]:
    """A client that knows one plain address: a real Envoy decides."""
    async with through_the_edge(ground.server) as channel:
        yield Reach(bearing(channel, ground.server.token), bare=channel)


PATHS: dict[str, Path] = {
    "direct": direct,
    "in-process": in_process,
    "mesh": mesh_direct,
    "mesh-in-process": mesh_in_process,
    "xds": xds,
    "mesh-xds": mesh_xds,
    "edge": edged,
}
# Those whose calls go through a mesh, with a breaker, a budget and perhaps a retry of its own.
OF_A_MESH = ("mesh", "mesh-in-process", "mesh-xds")


def _channel(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """What a stub is made from, for tests that make their own."""
    return channel


class NearFirst:
    """As much of a channel as a generated stub asks for."""

    def __init__(self, far: grpc.aio.Channel, server: Server) -> None:
        self._far = far
        self._server = server

    def unary_unary(self, path: str, **codecs: Any) -> Any:
        return self._way(path, self._far.unary_unary(path, **codecs))

    def unary_stream(self, path: str, **codecs: Any) -> Any:
        return self._way(path, self._far.unary_stream(path, **codecs))

    def stream_unary(self, path: str, **codecs: Any) -> Any:
        return self._way(path, self._far.stream_unary(path, **codecs))

    def stream_stream(self, path: str, **codecs: Any) -> Any:
        return self._way(path, self._far.stream_stream(path, **codecs))

    def _way(self, path: str, far: Any) -> Any:
        def call(*request: Any, **options: Any) -> Any:
            way = self._server.local.way(path, options.get("metadata"))
            return (way or far)(*request, **options)

        return call
