"""What a process tells of its own gRPC: what control planes told its xDS clients (CSDS), and its
channels, servers and sockets with their calls (channelz). gRPC keeps both in any case.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from envoy.service.status.v3 import csds_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1._async import ChannelzServicer
from grpc_csds import ClientStatusDiscoveryServiceServicer

from tandemkit.rpc.context import Context
from tandemkit.rpc.streams import Streams

_CSDS: ServiceDescriptor = csds_pb2.DESCRIPTOR.services_by_name["ClientStatusDiscoveryService"]
_CHANNELZ: ServiceDescriptor = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]
SERVICES = (_CSDS.full_name, _CHANNELZ.full_name)
# It tells what control planes tell anybody. Channelz tells who calls whom.
PUBLIC = (_CSDS.full_name,)


class _ClientStatus:
    """The package's servicer streams only on gRPC's own threads."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def FetchClientStatus(self, request: Any, _context: Context) -> Any:
        return ClientStatusDiscoveryServiceServicer.FetchClientStatus(request, None)

    async def StreamClientStatus(self, requests: AsyncIterator[Any], context: Context) -> None:
        async for request in self._streams.requests(requests):
            await context.write(await self.FetchClientStatus(request, context))


def handlers(streams: Streams) -> tuple[grpc.GenericRpcHandler, ...]:
    """What answers both."""
    served = ((_CSDS, _ClientStatus(streams)), (_CHANNELZ, ChannelzServicer()))
    return tuple(_handler(service, servicer) for service, servicer in served)


def _handler(service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
    methods = {method.name: _method(method, servicer) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _method(method: MethodDescriptor, servicer: object) -> grpc.RpcMethodHandler[Any, Any]:
    make = (
        grpc.stream_stream_rpc_method_handler
        if method.server_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(
        getattr(servicer, method.name),
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
