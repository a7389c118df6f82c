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
from tandemkit.rpc.client import Mesh, mesh
from tandemkit.rpc.server import Server
from tandemkit.testing.clock import Hasty
from tests.contract.calls.edge_path import through_the_edge

TARGET = "xds:///tandem"


@dataclass
class Reach:
    """How stubs reach the agent: the channel that they are made with. Where a mesh is behind it,
    also that and the clock by which it goes.
    """

    channel: Any
    mesh: Mesh | None = None
    clock: Hasty = field(default_factory=Hasty)


# Given a server that does not listen yet, and the port to which a control plane leads calls.
Path: TypeAlias = Callable[[Server, int], AbstractAsyncContextManager[Reach]]


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    """The address of `server`, on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        await server.start(address)
        yield address


@asynccontextmanager
async def meshed(target: str, near: Near | None = None) -> AsyncIterator[Reach]:
    """A mesh whose time is the test's."""
    clock = Hasty()
    async with mesh(target, near, clock=clock) as stubs:
        yield Reach(stubs.stub(_channel), stubs, clock)


@asynccontextmanager
async def direct(server: Server, _mesh_port: int) -> AsyncIterator[Reach]:
    """grpc.aio alone: what the others are measured by."""
    async with listening(server) as address, grpc.aio.insecure_channel(address) as channel:
        yield Reach(channel)


@asynccontextmanager
async def in_process(server: Server, mesh_port: int) -> AsyncIterator[Reach]:
    """The server is called where it is; what cannot be goes over the socket."""
    async with direct(server, mesh_port) as far:
        yield Reach(NearFirst(far.channel, server))


@asynccontextmanager
async def mesh_direct(server: Server, _mesh_port: int) -> AsyncIterator[Reach]:
    """What an agent's own stubs use, for an agent elsewhere."""
    async with listening(server) as address, meshed(address) as reach:
        yield reach


@asynccontextmanager
async def mesh_in_process(server: Server, _mesh_port: int) -> AsyncIterator[Reach]:
    """The same, for an agent of the same host."""
    async with listening(server) as address, meshed(address, server.local.way) as reach:
        yield reach


@asynccontextmanager
async def xds(server: Server, mesh_port: int) -> AsyncIterator[Reach]:
    """A client without our code: the control plane's routes decide."""
    await server.start(f"127.0.0.1:{mesh_port}")
    insecure: Any = experimental.insecure_channel_credentials
    credentials = grpc.xds_channel_credentials(insecure())
    async with grpc.aio.secure_channel(TARGET, credentials) as channel:
        await channel.channel_ready()
        yield Reach(channel)


@asynccontextmanager
async def mesh_xds(server: Server, mesh_port: int) -> AsyncIterator[Reach]:
    """What an agent's own stubs use in a fleet."""
    await server.start(f"127.0.0.1:{mesh_port}")
    async with meshed(TARGET) as reach:
        await reach.channel.channel_ready()
        yield reach


@asynccontextmanager
async def edged(server: Server, _mesh_port: int) -> AsyncIterator[Reach]:
    """A client that knows one plain address: a real Envoy decides."""
    async with through_the_edge(server) as channel:
        yield Reach(channel)


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
