"""A host as its control sees it: a stream that takes one step at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.failures import Failure, failure_of

SERVICE = "tandem.utility.v1.FilesService"
RENEW = pb.HoldLeaseRequest(renew=pb.HoldLeaseRequest.Renew())
CLOSE = pb.HoldLeaseRequest(close=pb.HoldLeaseRequest.Close())


def host(name: str = "hosts/a", *, serving: bool = True) -> nouns.Host:
    placement = nouns.Placement(service=SERVICE, serving=serving)
    return nouns.Host(
        name=name,
        machine="laptop",
        group="utility",
        address="127.0.0.1",
        port=8200,
        placements=[placement],
    )


def opening(host: nouns.Host, ttl_s: int = 0) -> pb.HoldLeaseRequest:
    ttl = Duration(seconds=ttl_s) if ttl_s else None
    return pb.HoldLeaseRequest(open=pb.HoldLeaseRequest.Open(host=host, time_to_live=ttl))


def change(host: nouns.Host) -> pb.HoldLeaseRequest:
    return pb.HoldLeaseRequest(change=pb.HoldLeaseRequest.Change(host=host))


class Held:
    """One stream of HoldLease."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def step(self, request: pb.HoldLeaseRequest) -> pb.HoldLeaseResponse:
        """Its confirmation; raises AioRpcError where there is none."""
        await self._call.write(request)
        return await self.answer()

    async def answer(self) -> pb.HoldLeaseResponse:
        response: pb.HoldLeaseResponse = await self._call.read()
        return response

    async def end(self) -> object:
        """What comes after the last message."""
        return await self._call.read()

    def cut(self) -> None:
        self._call.cancel()


async def held(registry: rpc.RegistryServiceAsyncStub, host: nouns.Host, ttl_s: int = 0) -> Held:
    """An open lease."""
    one = Held(registry.HoldLease())
    await one.step(opening(host, ttl_s))
    return one


@asynccontextmanager
async def watching(
    registry: rpc.RegistryServiceAsyncStub, since_revision: int = 0
) -> AsyncIterator[AsyncIterator[pb.WatchHostsResponse]]:
    call = registry.WatchHosts(pb.WatchHostsRequest(since_revision=since_revision))
    try:
        yield aiter(call)
    finally:
        call.cancel()


async def failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)
