"""Server reflection under both of its names: clients of today ask for v1, older ones for v1alpha;
the messages are the same on the wire, and PyPI's package carries v1alpha alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from tandemkit.rpc.context import Context
from tandemkit.rpc.elsewhere import Elsewhere
from tandemkit.rpc.streams import Streams

_OLD, _NEW = "grpc.reflection.v1alpha", "grpc.reflection.v1"
SERVICES = tuple(f"{package}.ServerReflection" for package in (_NEW, _OLD))


class _Pools:
    """Several of protobuf's pools as one, which also finds the file of a method: `grpcurl describe`
    asks for those. KeyError where none knows.
    """

    def __init__(self, own: Any, elsewhere: Elsewhere | None) -> None:
        self._own, self._elsewhere = own, elsewhere

    def __iter__(self) -> Iterator[Any]:
        if self._elsewhere is not None:
            yield from self._elsewhere.pools
        yield self._own

    def FindFileByName(self, name: str) -> Any:
        return self._first("FindFileByName", name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:
        try:
            return self._first("FindFileContainingSymbol", symbol)
        except KeyError:
            return self._first("FindMethodByName", symbol).containing_service.file

    def FindMessageTypeByName(self, name: str) -> Any:
        return self._first("FindMessageTypeByName", name)

    def FindExtensionByNumber(self, message: Any, number: int) -> Any:
        for pool, known in self._knowing(message):
            try:
                return pool.FindExtensionByNumber(known, number)
            except KeyError:
                continue
        raise KeyError(number)

    def FindAllExtensions(self, message: Any) -> list[Any]:
        """One of each number."""
        found = {
            one.number: one
            for pool, known in self._knowing(message)
            for one in pool.FindAllExtensions(known)
        }
        return list(found.values())

    def _knowing(self, message: Any) -> Iterator[tuple[Any, Any]]:
        """A descriptor belongs to one pool; each has another of the same name."""
        for pool in self:
            try:
                yield pool, pool.FindMessageTypeByName(message.full_name)
            except KeyError:
                continue

    def _first(self, find: str, name: str) -> Any:
        for pool in self:
            try:
                return getattr(pool, find)(name)
            except KeyError:
                continue
        raise KeyError(name)


class _Reflection:
    """The package's servicer, whose services may change, and which names what is near where there
    is no such symbol.
    """

    def __init__(
        self, own: Collection[str], pools: _Pools, elsewhere: Elsewhere | None, streams: Streams
    ) -> None:
        self._own, self._elsewhere = own, elsewhere
        self._pools, self._streams = pools, streams

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: Context) -> None:
        async for request in self._streams.requests(requests):
            async for answer in self._answers(request, context):
                await context.write(answer)

    async def _answers(self, request: Any, context: Context) -> AsyncIterator[Any]:
        also = self._elsewhere.services if self._elsewhere else ()
        servicer = ReflectionServicer({*self._own, *SERVICES, *also}, self._pools)
        async for answer in servicer.ServerReflectionInfo(_only(request), context):
            symbol = request.file_containing_symbol
            if self._elsewhere and symbol and answer.HasField("error_response"):
                answer.error_response.error_message = self._elsewhere.refusal(symbol).message
            yield answer


async def _only(request: Any) -> AsyncIterator[Any]:
    yield request


def handlers(
    services: Collection[str], streams: Streams, elsewhere: Elsewhere | None = None
) -> tuple[grpc.GenericRpcHandler, ...]:
    """What answers reflection for `services`, which may become more, for itself, and for what is
    elsewhere.
    """
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # so say its stubs
    _describe_v1(pool)
    pools = _Pools(pool, elsewhere)
    servicer = _Reflection(services, pools, elsewhere, streams)
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
