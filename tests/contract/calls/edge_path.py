"""The way of a client that knows one plain address: through a real Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock
from tandemkit.hosting.edge import EdgePlace, RunningEdge, edge
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.bootstrap import Node
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing import probe
from tandemkit.testing.parts import demand, short_folder

_CATALOGUED = (Contract.of(probe.DESCRIPTOR),)


@asynccontextmanager
async def edged(server: Server, **more: Any) -> AsyncIterator[RunningEdge]:
    """An edge of a fleet that has this one host, which begins to listen."""
    program = demand("envoy")["envoy"]
    port = await server.start("127.0.0.1:0")
    placed = (Placement(probe.SERVICE),)
    host = Host("only", "probe", "here", "127.0.0.1", port, placed)
    publication, control = Publication(SystemClock()), Server()
    publication.publish(Catalogue((host,), _CATALOGUED, front=probe.SERVICE))
    discovery = DiscoveryServer(publication)
    control.also(discovery.generic_handler(), discovery.close)
    told_at = await control.start("127.0.0.1:0")
    with short_folder() as folder:
        controls = (f"127.0.0.1:{told_at}",)
        place = EdgePlace(program, folder / "log", Node("edge", "here"), controls, **more)
        async with Tasks() as tasks:
            tasks.spawn("publication", publication.run())
            try:
                async with edge(place) as running:
                    yield running
            finally:
                await control.drain(0)


@asynccontextmanager
async def through_the_edge(server: Server) -> AsyncIterator[Any]:
    """Any gRPC client, on the edge's address."""
    async with (
        edged(server) as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        yield channel
