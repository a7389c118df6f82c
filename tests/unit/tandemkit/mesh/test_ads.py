"""The discovery service over a real connection, without gRPC's xDS client around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.publication import COALESCE_S, Publication
from tandemkit.mesh.snapshot import CLUSTER, ENDPOINTS, LISTENER
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts import short_folder
from tests.unit.tandemkit.mesh.meshed import CONTRACTS, GROUP, HERE, A, B


class Serving:
    """A discovery server on a socket, whose time stands still unless it is moved."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.publication = Publication(self.clock)
        self.discovery = DiscoveryServer(self.publication)
        self.server = Server()

    async def publish(self, *hosts: Any) -> None:
        self.publication.publish(Catalogue(hosts, CONTRACTS))
        await self.clock.advance(COALESCE_S)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Serving, Any]]:
    one = Serving()
    one.server.also(one.discovery.generic_handler(), one.discovery.close)
    with short_folder() as folder:
        address = f"unix:{folder}/s"
        async with Tasks() as tasks, grpc.aio.insecure_channel(address) as channel:
            tasks.spawn("publication", one.publication.run())
            await one.server.start(address)
            try:
                yield one, AggregatedDiscoveryServiceStub(channel)
            finally:
                await one.server.drain(0)


def asking(type_url: str, *names: str, machine: str = HERE) -> DiscoveryRequest:
    request = DiscoveryRequest(type_url=type_url, resource_names=names)
    request.node.id, request.node.locality.zone = "raw", machine
    return request


async def test_a_change_reaches_every_stream() -> None:
    """Streams that asked for a cluster's endpoints are told when a host is gone, in one message."""
    async with serving() as (one, stub):
        await one.publish(A, B)
        streams = [stub.StreamAggregatedResources() for _ in range(50)]
        for stream in streams:
            await stream.write(asking(ENDPOINTS, GROUP))
        first = [await stream.read() for stream in streams]
        assert len({response.version_info for response in first}) == 1
        assert len(one.discovery.streams) == 50
        await one.publish(A)
        second = [await stream.read() for stream in streams]
        assert {len(response.resources) for response in second} == {1}
        assert {response.version_info for response in second} != {first[0].version_info}
        for stream in streams:
            stream.cancel()


async def test_an_early_client_waits_for_the_first_publication() -> None:
    """What it asked for before there was anything to say is answered then."""
    async with serving() as (one, stub):
        stream = stub.StreamAggregatedResources()
        await stream.write(asking(CLUSTER, GROUP))
        await one.publish(A)
        assert (await stream.read()).type_url == CLUSTER
        stream.cancel()


async def test_a_draining_server_ends_its_streams_well() -> None:
    """They end at once and without an error: the client turns to the next control plane."""
    async with serving() as (one, stub):
        await one.publish(A)
        stream = stub.StreamAggregatedResources()
        await stream.write(asking(LISTENER, "tandem"))
        assert (await stream.read()).type_url == LISTENER
        await one.server.drain(30)
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() == grpc.StatusCode.OK


async def test_a_client_that_hangs_up_is_forgotten() -> None:
    """Closing its side ends the stream, and the server keeps nothing of it."""
    async with serving() as (one, stub):
        await one.publish(A)
        stream = stub.StreamAggregatedResources()
        await stream.write(asking(LISTENER, "tandem"))
        assert (await stream.read()).type_url == LISTENER
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert one.discovery.streams == ()


async def test_the_incremental_variant_is_not_offered() -> None:
    """No gRPC client asks for it; who does is told so."""
    async with serving() as (_, stub):
        stream = stub.DeltaAggregatedResources()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stream.read()
        assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
