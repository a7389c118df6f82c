"""A server that answers for agents which it does not serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.rpc.probed import Probed, probed, refused
from tests.unit.tandemkit.rpc.test_reflection import VERSIONS, ask

FAR = "tandem.far.v1.FarService"
STATUS = health_pb2.HealthCheckResponse
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class OneFar:
    """`Elsewhere` with one agent."""

    def __init__(self) -> None:
        self.serves = True
        self.services = (FAR,)

    @property
    def pools(self) -> tuple[DescriptorPool, ...]:
        file = FileDescriptorProto(name="far.proto", package="tandem.far.v1", syntax="proto3")
        file.message_type.add(name="Far")
        file.service.add(name="FarService").method.add(
            name="Look", input_type=".tandem.far.v1.Far", output_type=".tandem.far.v1.Far"
        )
        pool: Any = DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        return (pool,)

    def serving(self, name: str) -> bool | None:
        return self.serves if name == FAR else None

    def refusal(self, name: str) -> Refusal:
        return Refusal(
            grpc.StatusCode.NOT_FOUND, "nobody; near: far", "STRANGER", "far", {"name": name}
        )


@asynccontextmanager
async def fronted() -> AsyncIterator[tuple[Probed, OneFar]]:
    """The probe's server, which also answers for the far agent."""
    far, server = OneFar(), Server()
    server.answer_for(far)
    async with probed(server) as it:
        yield it, far


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_to_a_stranger_of_any_kind_ends_as_elsewhere_says(
    kind: str,
) -> None:
    """At once, also where the caller has not said all, and without reading what it has."""
    freed = asyncio.Event()

    async def unfinished() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await freed.wait()

    async with fronted() as (it, _):
        method: Any = getattr(it.channel, kind)("/tandem.near.v1.NoService/Call")
        call = method(unfinished() if kind.startswith("stream") else b"x" * 1_000_000, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            if kind.endswith("unary"):
                await call
            else:
                async for _ in call:
                    pass
    found = failure_of(raised.value)
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "STRANGER")
    assert found.metadata == {"name": "tandem.near.v1.NoService"}


async def test_an_unknown_method_of_an_own_service_is_unimplemented() -> None:
    """That is gRPC's to say: the agent is here, and older than its caller."""
    async with fronted() as (it, _):
        for path in (probe.path("Nothing"), "/grpc.health.v1.Health/Nothing"):
            method: Any = it.channel.unary_unary(path)
            found = await refused(method(b""))
            assert found.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("path", ["nobody", "/nobody", "nobody/"])
async def test_a_path_of_no_form_is_a_stranger_too(path: str) -> None:
    """Whatever a caller makes up."""
    async with fronted() as (it, _):
        method: Any = it.channel.unary_unary(path)
        found = await refused(method(b""))
    assert (found.reason, found.metadata) == ("STRANGER", {"name": "nobody"})


async def test_own_services_are_answered_from_here() -> None:
    """What is elsewhere changes nothing for the server's own agents."""
    async with fronted() as (it, _):
        assert (await it.unary("Echo", "well")).text == "well"
        health: Any = health_pb2_grpc.HealthStub(it.channel)
        question = health_pb2.HealthCheckRequest(service=probe.SERVICE)
        assert (await health.Check(question)).status == STATUS.NOT_SERVING


async def test_the_health_of_an_agent_elsewhere_is_checked_and_watched() -> None:
    """A watcher hears of a change once the server is told of one; a stranger is refused."""
    async with fronted() as (it, far):
        health: Any = health_pb2_grpc.HealthStub(it.channel)
        question = health_pb2.HealthCheckRequest(service=FAR)
        watch = health.Watch(question)
        assert (await watch.read()).status == STATUS.SERVING
        far.serves = False
        it.server.health.wake()
        assert (await watch.read()).status == STATUS.NOT_SERVING
        assert (await health.Check(question)).status == STATUS.NOT_SERVING
        found = await refused(health.Check(health_pb2.HealthCheckRequest(service="nobody")))
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "STRANGER")


async def test_a_draining_server_does_not_slander_agents_elsewhere() -> None:
    """Their watch ends without a word against them."""
    async with fronted() as (it, _):
        health: Any = health_pb2_grpc.HealthStub(it.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=FAR))
        assert (await watch.read()).status == STATUS.SERVING
        await it.server.drain(grace_s=60)
        assert await watch.read() is grpc.aio.EOF


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_names_and_describes_what_is_elsewhere(
    version: str,
) -> None:
    """Next to the server's own services."""
    async with fronted() as (it, _):
        listed = await ask(it, version, list_services="")
        names = {one.name for one in listed.list_services_response.service}
        assert {FAR, probe.SERVICE, "grpc.health.v1.Health"} <= names
        for symbol in (FAR, f"{FAR}.Look", "tandem.far.v1.Far"):
            answer = await ask(it, version, file_containing_symbol=symbol)
            (wire,) = answer.file_descriptor_response.file_descriptor_proto
            assert FileDescriptorProto.FromString(wire).name == "far.proto"
        own = await ask(it, version, file_containing_symbol=probe.SERVICE)
        assert own.HasField("file_descriptor_response")


async def test_an_unknown_symbol_is_answered_with_what_is_near() -> None:
    """In the answer, as the protocol says, so that the stream goes on."""
    async with fronted() as (it, _):
        answer = await ask(it, "v1", file_containing_symbol="tandem.far.v1.FaService")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answer.error_response.error_message == "nobody; near: far"
