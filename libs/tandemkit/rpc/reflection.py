"""Server reflection under both of its names: clients of today ask for v1, older ones for v1alpha;
the messages are the same on the wire, and PyPI's package carries v1alpha alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

_OLD, _NEW = "grpc.reflection.v1alpha", "grpc.reflection.v1"
SERVICES = tuple(f"{package}.ServerReflection" for package in (_NEW, _OLD))


class _Symbols:
    """protobuf's pool, which also finds the file of a method: `grpcurl describe` asks for those."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def handlers(services: Iterable[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """What answers reflection for `services` and for itself."""
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # so say its stubs
    _describe_v1(pool)
    servicer = ReflectionServicer((*services, *SERVICES), _Symbols(pool))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return tuple(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
        for name in SERVICES
    )


def _describe_v1(pool: Any) -> None:
    """Adds v1's descriptor to the pool, made from v1alpha's by its new name, so that v1 can
    describe itself.
    """
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = _NEW
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(f".{_OLD}.", f".{_NEW}.")
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(f".{_OLD}.", f".{_NEW}.")
        method.output_type = method.output_type.replace(f".{_OLD}.", f".{_NEW}.")
    # Adding the same file a second time changes nothing.
    pool.AddSerializedFile(file.SerializeToString())
