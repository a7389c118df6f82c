"""The ways in which a call reaches an agent, each as a channel that a generated stub takes.

A further one is one more entry in `PATHS`: the suite holds it to what `direct` does.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import grpc

from tandemkit.rpc.client import mesh
from tandemkit.rpc.server import Server
from tests.contract.calls.edge_path import through_the_edge

Path: TypeAlias = Callable[[Server], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    """The address of `server`, on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        await server.start(address)
        yield address


@asynccontextmanager
async def direct(server: Server) -> AsyncIterator[Any]:
    """grpc.aio alone: what the others are measured by."""
    async with listening(server) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


@asynccontextmanager
async def in_process(server: Server) -> AsyncIterator[Any]:
    """The server is called where it is; what cannot be goes over the socket."""
    async with direct(server) as channel:
        yield NearFirst(channel, server)


@asynccontextmanager
async def mesh_direct(server: Server) -> AsyncIterator[Any]:
    """What an agent's own stubs use, for an agent elsewhere."""
    async with listening(server) as address, mesh(address) as stubs:
        yield stubs.stub(_channel)


@asynccontextmanager
async def mesh_in_process(server: Server) -> AsyncIterator[Any]:
    """The same, for an agent of the same host."""
    async with listening(server) as address, mesh(address, server.local.way) as stubs:
        yield stubs.stub(_channel)


PATHS: dict[str, Path] = {
    "direct": direct,
    "in-process": in_process,
    "mesh": mesh_direct,
    "mesh-in-process": mesh_in_process,
    "edge": through_the_edge,
}


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
