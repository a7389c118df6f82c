"""What anybody may ask of a host: its health and its contracts, and both over the mesh."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2 as reflection

from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.options.v1 import options_pb2 as options
from tandemkit.mesh.bootstrap import VARIABLE
from tandemkit.testing.parts import demand
from tandemkit.testing.tokens import GRPCURL_FLAGS, grpcurl_variables
from tests.cluster.eventually import eventually
from tests.contract.runtime.hosted import Fleet, Host

SERVING = health_pb2.HealthCheckResponse.SERVING
HEALTH = "grpc.health.v1.Health"


class FrontPromises:
    async def test_health_needs_no_token(self, host: Host) -> None:
        """Of each agent and of the whole; what is not there is not found."""
        stub: Any = health_pb2_grpc.HealthStub(host.open_channel)
        for service in ("", host.runtime.service):
            request = health_pb2.HealthCheckRequest(service=service)
            assert (await stub.Check(request)).status == SERVING
            watch = stub.Watch(request)
            assert (await watch.read()).status == SERVING
            watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as absent:
            await stub.Check(health_pb2.HealthCheckRequest(service="tandem.none.v1.NoneService"))
        assert absent.value.code() is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    async def test_reflection_needs_no_token(self, host: Host, version: str) -> None:
        """It tells the contract with all of its options, under both of its names."""
        asked = reflection.ServerReflectionRequest
        (listed,) = await reflected(host, version, asked(list_services=""))
        names = {one.name for one in listed.list_services_response.service}
        assert {
            host.runtime.service,
            HEALTH,
            f"grpc.reflection.{version}.ServerReflection",
        } <= names
        method = f"{host.runtime.service}.{host.runtime.held.method}"
        for symbol in (host.runtime.service, method):
            (told,) = await reflected(host, version, asked(file_containing_symbol=symbol))
            files = told.file_descriptor_response.file_descriptor_proto
            assert promised(FileDescriptorProto.FromString(files[0]), host)
        (told,) = await reflected(host, version, asked(file_by_filename=host.runtime.file.name))
        assert told.file_descriptor_response.file_descriptor_proto
        (told,) = await reflected(host, version, asked(file_containing_symbol="tandem.None"))
        assert told.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]

    async def test_its_contract_is_kept_at_control(self, fleet: Fleet, host: Host) -> None:
        """Under the digest that its registration names, with all imports, each behind its own."""
        (placed,) = (await fleet.until_there(host.name)).placements
        async with fleet.control() as channel:
            stub = registry_rpc.RegistryServiceStub(channel)
            request = registry.GetValueRequest(key=f"contracts/{placed.contract_digest}")
            value = (await stub.GetValue(request)).value
        assert value.schema == FileDescriptorSet.DESCRIPTOR.full_name
        files = FileDescriptorSet.FromString(value.content).file
        for place, file in enumerate(files):
            assert set(file.dependency) <= {one.name for one in files[:place]}
        assert files[-1].name == host.runtime.file.name
        assert promised(files[-1], host)

    @pytest.mark.real("grpcurl")
    async def test_a_stock_client_finds_it_in_the_mesh(self, fleet: Fleet, host: Host) -> None:
        """`grpcurl xds:///tandem` lists, describes and asks after it, by no contract of its own."""
        service = host.runtime.service

        async def listed() -> set[str]:
            return set((await grpcurl(fleet, "list")).splitlines())

        await eventually(listed, lambda found: service in found)
        described = await grpcurl(fleet, "describe", service)
        assert f"rpc {host.runtime.held.method} ( stream " in described
        assert "option (.tandem.options.v1.limits)" in described
        healthy = await grpcurl(fleet, "-d", f'{{"service": "{service}"}}', f"{HEALTH}/Check")
        assert '"status": "SERVING"' in healthy


async def reflected(host: Host, version: str, *requests: Any) -> list[Any]:
    """What reflection answers, by who shows no token. Both versions are the same on the wire."""
    call: Any = host.open_channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection.ServerReflectionRequest.SerializeToString,
        reflection.ServerReflectionResponse.FromString,
    )(iter(requests))
    return [answer async for answer in call]


def promised(file: FileDescriptorProto, host: Host) -> bool:
    """Whether what the contract promises beyond its shapes is still in it."""
    (service,) = file.service
    said: Any = next(one for one in service.method if one.name == host.runtime.held.method).options
    most = host.runtime.method(host.runtime.held.method).concurrent_calls_max
    return bool(said.Extensions[options.limits].concurrent_calls_max == most)


async def grpcurl(fleet: Fleet, *said: str) -> str:
    """On the whole fleet's one target; it may know of the host no more than control does."""
    flags = said[:-1] if said[0] == "-d" else ()
    rest = said[-1:] if said[0] == "-d" else said
    program = str(demand("grpcurl")["grpcurl"])
    common = ("-plaintext", "-max-time", "20", *GRPCURL_FLAGS)
    argv = (program, *common, *flags, "xds:///tandem", *rest)
    known = {VARIABLE: fleet.controlled.bootstrap, **grpcurl_variables(fleet.token)}
    done = await asyncio.to_thread(
        subprocess.run, argv, env=known, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LookupError(done.stderr)
    return done.stdout
