"""The aggregated discovery service: gRPC's clients ask it for everything, over one stream each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from envoy.service.discovery.v3.ads_pb2 import DESCRIPTOR
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from tandemkit.mesh.edge import EdgeView
from tandemkit.mesh.publication import Publication
from tandemkit.mesh.streams import EDGE, Stream
from tandemkit.rpc.context import Context
from tandemkit.supervise.tasks import Tasks

SERVICE = DESCRIPTOR.services_by_name["AggregatedDiscoveryService"].full_name


class DiscoveryServer:
    """State of the world. The incremental variant answers UNIMPLEMENTED: gRPC's clients never ask
    for it.
    """

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self._streams: dict[Stream, asyncio.Event] = {}
        self._closed = False
        self._edge = EdgeView()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The clients that are connected, with what each accepted or refused."""
        return tuple(self._streams)

    def generic_handler(self) -> grpc.GenericRpcHandler:
        """To be mounted next to agents. Responses come encoded: many clients are told the same."""
        method: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self.StreamAggregatedResources, request_deserializer=DiscoveryRequest.FromString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamAggregatedResources": method})

    def close(self) -> None:
        """Ends every stream. Clients go on with what they know, and to the next control plane."""
        self._closed = True
        for changed in self._streams.values():
            changed.set()

    async def StreamAggregatedResources(
        self, requests: AsyncIterator[DiscoveryRequest], context: Context
    ) -> None:
        stream = Stream()
        with self.publication.watching() as changed:
            self._streams[stream] = changed
            try:
                async with Tasks() as tasks:
                    tasks.spawn("mesh:requests", _read(requests, stream, changed))
                    while not (self._closed or stream.ended):
                        changed.clear()
                        await self._tell(stream, context)
                        await changed.wait()
            finally:
                del self._streams[stream]

    async def _tell(self, stream: Stream, context: Context) -> None:
        snapshot = self.publication.on(stream.machine)
        if snapshot is not None:
            if stream.cluster == EDGE:
                snapshot = self._edge.of(snapshot)
            for response in stream.due(snapshot):
                await context.write(response)


async def _read(
    requests: AsyncIterator[DiscoveryRequest], stream: Stream, changed: asyncio.Event
) -> None:
    async for request in requests:
        stream.take(request)
        changed.set()
    stream.ended = True
    changed.set()
