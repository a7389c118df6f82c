from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probed, probed

VERSIONS = ("v1", "v1alpha")


async def ask(it: Probed, version: str, **question: Any) -> reflection_pb2.ServerReflectionResponse:
    call = it.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await call.write(reflection_pb2.ServerReflectionRequest(**question))
    answer = await call.read()
    await call.done_writing()
    return answer


@pytest.mark.parametrize("version", VERSIONS)
async def test_both_versions_list_agents_health_and_themselves(version: str) -> None:
    """Old and new clients see the same services."""
    async with probed() as it:
        answer = await ask(it, version, list_services="")
    assert {one.name for one in answer.list_services_response.service} == {
        probe.SERVICE,
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
        "envoy.service.status.v3.ClientStatusDiscoveryService",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol", [probe.SERVICE, *(f"grpc.reflection.{v}.ServerReflection" for v in VERSIONS)]
)
@pytest.mark.parametrize("method", [True, False])
async def test_every_listed_service_can_be_described(
    version: str, symbol: str, method: bool
) -> None:
    """A file that declares the service, or one of its methods, comes back."""
    async with probed() as it:
        member = "Echo" if symbol == probe.SERVICE else "ServerReflectionInfo"
        asked = f"{symbol}.{member}" if method else symbol
        answer = await ask(it, version, file_containing_symbol=asked)
    files = [
        FileDescriptorProto.FromString(wire)
        for wire in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert any(f"{f.package}.{s.name}" == symbol for f in files for s in f.service)


@pytest.mark.parametrize("symbol", ["nobody", "tandem.probe.v1.ProbeService.Nothing"])
async def test_an_unknown_symbol_is_not_found(symbol: str) -> None:
    """As the reflection protocol says it: in the answer, and the stream goes on."""
    async with probed() as it:
        answer = await ask(it, "v1", file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
