"""Methods of agents whose stubs a process does not have, as the fleet's reflection tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from tandem.tasks.v1 import agent_call_pb2 as pb
from tandem.tasks.v1 import errors_pb2 as errors
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent_caller import AgentCaller
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import with_imports
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock

KEY = "job-1"
SERVICE = "tandem.foreign.v1.TellService"
FOREIGN = f"/{SERVICE}/Tell"


def foreign_pool() -> Any:
    """A contract that no module of this process declares, with a rule and a promise."""
    file = FileDescriptorProto.FromString(probe.DESCRIPTOR.serialized_pb)
    file.name, file.package = "tandem/foreign/v1/tell_service.proto", "tandem.foreign.v1"
    file.service[0].name, file.service[0].method[0].name = "TellService", "Tell"
    for method in file.service[0].method:
        method.input_type = method.input_type.replace("probe", "foreign")
        method.output_type = method.output_type.replace("probe", "foreign")
    pool: Any = DescriptorPool()
    for one in [*with_imports(probe.DESCRIPTOR)][:-1]:
        pool.AddSerializedFile(one.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


class ImportsApart:
    """Tells a file and not what it imports, as servers in some languages do."""

    def __init__(self, _services: object, pool: Any) -> None:
        self._pool = pool

    async def ServerReflectionInfo(self, requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            answer = reflection_pb2.ServerReflectionResponse()
            try:
                if request.file_by_filename:
                    file = self._pool.FindFileByName(request.file_by_filename)
                else:
                    file = self._pool.FindFileContainingSymbol(request.file_containing_symbol)
                answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
            except KeyError:
                answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            yield answer


@asynccontextmanager
async def foreign(folder: Path, kind: Any = ReflectionServicer) -> AsyncIterator[str]:
    """The address of a server whose contract only reflection tells."""

    async def tell(request: bytes, _context: Any) -> bytes:
        return request

    server = grpc.aio.server()
    add_ServerReflectionServicer_to_server(
        kind(["tandem.foreign.v1.TellService"], foreign_pool()), server
    )
    handlers: Any = {"Tell": grpc.unary_unary_rpc_method_handler(tell)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tandem.foreign.v1.TellService", handlers),)
    )
    server.add_insecure_port(address := f"unix:{folder}/foreign")
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)


@pytest.mark.parametrize("kind", [ReflectionServicer, ImportsApart])
async def test_an_agent_without_stubs_here_is_called_by_its_contract(
    tmp_path: Path, kind: Any
) -> None:
    """Its rules hold and its promises count, as the fleet's reflection tells them."""
    call = pb.AgentCall(method=FOREIGN, request=probe.ProbeRequest(text="a").SerializeToString())
    long = probe.ProbeRequest(text="x" * (probe.TEXT_CHARS_MAX + 1)).SerializeToString()
    async with foreign(tmp_path, kind) as address, mesh(address) as wire:
        caller = AgentCaller(wire, FleetMethods(wire, SystemClock(), has_fleet=True))
        await caller.check(call, KEY)
        assert (await caller.call(call, KEY)).response == call.request
        with pytest.raises(CallerError, match="at='text'"):
            await caller.check(pb.AgentCall(method=FOREIGN, request=long), KEY)
        with pytest.raises(CallerError, match="no agent has the method"):
            await caller.check(pb.AgentCall(method="/tandem.foreign.v1.NoService/Tell"), KEY)
        # A name of the contract that is no service's.
        with pytest.raises(CallerError, match="no agent has the method"):
            await caller.check(pb.AgentCall(method="/tandem.foreign.v1.ProbeRequest/Tell"), KEY)


async def test_a_contract_is_asked_for_again_after_a_while(tmp_path: Path) -> None:
    """What control said last holds for half a minute without it; then nobody knows."""
    clock = FakeClock()
    call = pb.AgentCall(method=FOREIGN)
    async with AsyncExitStack() as stack:
        serving_it = await stack.enter_async_context(AsyncExitStack())
        address = await serving_it.enter_async_context(foreign(tmp_path))
        wire = await stack.enter_async_context(mesh(address))
        caller = AgentCaller(wire, FleetMethods(wire, clock, has_fleet=True))
        await caller.check(call, KEY)
        await serving_it.aclose()
        await clock.advance(29)
        await caller.check(call, KEY)
        await clock.advance(2)
        with pytest.raises(TransientError) as caught:
            await caller.check(call, KEY)
    assert caught.value.reason == errors.ERROR_REASON_CONTRACTS_UNREACHABLE
