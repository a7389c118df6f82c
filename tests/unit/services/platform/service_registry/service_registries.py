"""The agent next to its registry, as a caller sees both, and things that it may be told of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandem.platform.v1 import service_registry_service_pb2_grpc as rpc
from tandemkit.testing.failures import Failure, failure_of

PORT = 11434


class Caller:
    """Asks as a person would."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = rpc.ServiceRegistryServiceStub(channel)
        self.registry = registry_rpc.RegistryServiceStub(channel)

    async def register(
        self, port: int = PORT, ttl_s: float | None = None, **said: Any
    ) -> pb.RegisterServiceResponse:
        request = pb.RegisterServiceRequest(
            **{"name": "ollama", "host": "127.0.0.1", "port": port, **said}
        )
        if ttl_s is not None:
            request.time_to_live.CopyFrom(Duration(seconds=int(ttl_s)))
        return await self.stub.RegisterService(request)

    async def renew(self, lease: bytes) -> None:
        await self.stub.RenewService(pb.RenewServiceRequest(lease=lease))

    async def deregister(self, identity: str, name: str = "ollama", lease: bytes = b"") -> None:
        request = pb.DeregisterServiceRequest(name=name, id=identity, lease=lease)
        await self.stub.DeregisterService(request)

    async def discover(self, name: str = "ollama") -> list[int]:
        """The ports of those that are well."""
        found = await self.stub.DiscoverService(pb.DiscoverServiceRequest(name=name))
        return [one.port for one in found.instances]

    async def inspect(self, name: str = "ollama") -> list[tuple[int, str, str]]:
        """All of them: port, state, cause."""
        found = await self.stub.InspectService(pb.InspectServiceRequest(name=name))
        return [
            (
                one.instance.port,
                pb.ServiceHealth.State.Name(one.health.state).removeprefix("STATE_"),
                one.health.cause,
            )
            for one in found.instances
        ]

    @asynccontextmanager
    async def watching(
        self, name: str = "ollama"
    ) -> AsyncIterator[AsyncIterator[pb.WatchServiceResponse]]:
        call: Any = self.stub.WatchService(pb.WatchServiceRequest(name=name))
        try:
            yield aiter(call)
        finally:
            call.cancel()


async def ports_of(told: AsyncIterator[pb.WatchServiceResponse], wanted: list[int]) -> None:
    """Waits until a watcher is told these."""
    async with asyncio.timeout(15):
        async for one in told:
            if [each.port for each in one.instances] == wanted and not one.stale:
                return


class WebServer:
    """Says that it is well, or not."""

    def __init__(self) -> None:
        self.well = True
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if self.well else b"503 Busy"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@asynccontextmanager
async def web_server() -> AsyncIterator[WebServer]:
    found = WebServer()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    async with server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)
