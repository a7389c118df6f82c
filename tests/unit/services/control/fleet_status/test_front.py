"""What the fleet's target answers for all agents, on the control's own port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from services.control.fleet_status.front import Front
from tandem.control.config.v1 import fleet_status_pb2 as cfg
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tests.cluster.mesh.trial_contract import AFFINITY, ALPHA, ALPHA_FILE, BETA
from tests.unit.services.control.fleet_status.fleet import control, host, placement, registered

CONTROL = "tandem.control.v1.FleetStatusService"
STATUS = health_pb2.HealthCheckResponse


class Fronted:
    """Asks the front of a control at which one host has registered."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    def watch(self, service: str) -> Any:
        return self.health.Watch(health_pb2.HealthCheckRequest(service=service))

    async def status(self, service: str) -> int:
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return int(answer.status)

    async def described(self, **question: Any) -> reflection_pb2.ServerReflectionResponse:
        call: Any = self.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(**question))
        answer: reflection_pb2.ServerReflectionResponse = await call.read()
        await call.done_writing()
        return answer


async def until(watch: Any, status: int) -> None:
    """Returns once the watcher has been told so."""
    while (await watch.read()).status != status:
        pass


@asynccontextmanager
async def fronted(folder: Path, *placements: Any) -> AsyncIterator[Fronted]:
    async with control(folder) as channel, registered(channel, host("a", 1, placements)):
        it = Fronted(channel)
        watch = it.watch(placements[0].service)
        await until(watch, STATUS.SERVING)
        watch.cancel()
        yield it


async def test_every_agent_of_the_fleet_is_listed_and_described(tmp_path: Path) -> None:
    """From what their hosts stored, next to the control's own; with the options of a method."""
    async with fronted(tmp_path, placement(), placement(BETA)) as it:
        listed = await it.described(list_services="")
        answer = await it.described(file_containing_symbol=f"{ALPHA}.Stick")
        numbers = await it.described(all_extension_numbers_of_type="google.protobuf.MethodOptions")
    names = {one.name for one in listed.list_services_response.service}
    assert {ALPHA, BETA, CONTROL, "grpc.health.v1.Health"} <= names
    files = [
        FileDescriptorProto.FromString(wire)
        for wire in answer.file_descriptor_response.file_descriptor_proto
    ]
    (service,) = (one for file in files for one in file.service)
    (stick,) = (one for one in service.method if one.name == "Stick")
    assert AFFINITY.encode() in stick.options.SerializeToString()
    assert "tandem/options/v1/options.proto" in {file.name for file in files}
    assert 50102 in numbers.all_extension_numbers_response.extension_number


async def test_an_agent_serves_while_one_instance_does(tmp_path: Path) -> None:
    """A sick instance leaves no mark while another is well, and by each name it is the same."""
    async with fronted(tmp_path, placement(), placement(BETA, serving=False)) as it:
        assert await it.status(BETA) == STATUS.NOT_SERVING
        watch = it.watch(BETA)
        await until(watch, STATUS.NOT_SERVING)
        async with registered(it.channel, host("b", 2, [placement(BETA)])):
            await until(watch, STATUS.SERVING)
            for name in (BETA, "trial-beta"):
                assert await it.status(name) == STATUS.SERVING
        await until(watch, STATUS.NOT_SERVING)


async def test_a_control_answers_for_itself(tmp_path: Path) -> None:
    """Before the registry has told anything, so that who started it can wait for its health."""
    settings = cfg.FleetStatusSettings(registry="127.0.0.1:1")
    async with control(tmp_path, settings) as channel:
        it = Fronted(channel)
        for service in (CONTROL, ""):
            assert await it.status(service) == STATUS.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await it.status(ALPHA)
    found = failure_of(raised.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "FLEET_UNKNOWN")


@pytest.mark.parametrize(
    ("path", "near"),
    [("tandem.trial.v1.AlfaService", ALPHA), ("com.acme.v1.BillingService", "")],
)
async def test_a_call_to_nobody_names_what_is_near(tmp_path: Path, path: str, near: str) -> None:
    """In the message, for people, and in the metadata, for programs."""
    async with fronted(tmp_path, placement()) as it:
        call: Any = it.channel.unary_unary(f"/{path}/Ask")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"")
    found = failure_of(raised.value)
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_UNKNOWN")
    assert found.domain == "tandem.control.v1"
    assert found.metadata == {"name": path, "near": near}
    assert found.message.endswith(f"did you mean {near}?") is bool(near)


async def test_the_health_of_nobody_is_not_found(tmp_path: Path) -> None:
    """With the same reason and the same hint as a call."""
    async with fronted(tmp_path, placement()) as it:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await it.status("trial-alfa")
    found = failure_of(raised.value)
    assert (found.code, found.metadata["near"]) == (grpc.StatusCode.NOT_FOUND, ALPHA)


async def test_a_call_to_an_agent_that_is_elsewhere_may_be_made_again(tmp_path: Path) -> None:
    """By a client that has not heard of it yet; who called control directly is told where to go."""
    async with fronted(tmp_path, placement()) as it:
        call: Any = it.channel.unary_unary(f"/{ALPHA}/Ask")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"")
    found = failure_of(raised.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "AGENT_NOT_HERE")
    assert "xds:///tandem" in found.message


A = Host("hosts/a", "g", "m", "127.0.0.1", 1, (Placement(ALPHA), Placement(ALPHA, "trial-alpha-x")))
ONE = Catalogue((A,), (Contract.of(ALPHA_FILE),))


class Told:
    """A front behind a publication that tells at once."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self.publication = Publication(self._clock)
        self.front = Front(self.publication)
        self.told = 0

    def tell(self) -> None:
        self.told += 1

    async def publish(self, catalogue: Catalogue, policy: TrafficPolicy | None = None) -> None:
        self.publication.publish(catalogue, policy or TrafficPolicy())
        await self._clock.advance(1)


@asynccontextmanager
async def told() -> AsyncIterator[Told]:
    async with Tasks() as tasks:
        it = Told()
        tasks.spawn("publication", it.publication.run())
        tasks.spawn("front", it.front.follow(it.tell))
        yield it


async def test_a_drained_host_serves_nobody() -> None:
    """Health says what callers would find."""
    async with told() as it:
        await it.publish(ONE)
        assert it.front.serving(ALPHA) is True
        assert it.front.serving("trial-alpha-x") is True
        before = it.told
        await it.publish(ONE, TrafficPolicy(drained=frozenset({"hosts/a"})))
        assert it.front.serving(ALPHA) is False
        assert it.told > before


async def test_an_agent_whose_hosts_are_gone_is_not_unknown() -> None:
    """Its calls may succeed later, so they fail as such, even when clients hear of it no more."""
    async with told() as it:
        await it.publish(ONE)
        await it.publish(Catalogue())
        assert it.front.serving(ALPHA) is False
        found = it.front.refusal(ALPHA)
        assert found.code is grpc.StatusCode.UNAVAILABLE
        assert found.reason == "AGENT_NOT_HERE"
        assert it.front.services == ()


async def test_what_clients_refuse_changes_nothing() -> None:
    """The front goes by what they are told, and does not deny what they can call."""
    async with told() as it:
        await it.publish(ONE)
        bad = TrafficPolicy(drained=frozenset({"hosts/a"}), calls_max=-1)
        await it.publish(ONE, bad)
        assert it.publication.refused
        assert it.front.serving(ALPHA) is True
