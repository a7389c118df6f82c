"""The ways in which a call reaches an agent, each as a channel that a generated stub takes.

A third one is one more entry in `PATHS`: whatever it is, the suite holds it to what `direct` does.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import grpc

from tandemkit.rpc.server import Server

Path: TypeAlias = Callable[[Server], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def direct(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """grpc.aio over a unix socket: what the others are measured by."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        await server.start(address)
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel


@asynccontextmanager
async def in_process(server: Server) -> AsyncIterator[NearFirst]:
    """The same server, called where it is; what cannot be goes over the socket."""
    async with direct(server) as channel:
        yield NearFirst(channel, server)


PATHS: dict[str, Path] = {"direct": direct, "in-process": in_process}


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
            return (self._server.local.way(path) or far)(*request, **options)

        return call
