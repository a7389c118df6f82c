"""The agent on a real server, next to the registry that it follows."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.config.v1 import fleet_status_pb2 as cfg
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.mesh.snapshot import ENDPOINTS
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tandemkit.testing.logs import lines_of
from tandemkit.testing.parts import short_folder
from tests.cluster.mesh.trial_contract import ALPHA, BETA
from tests.unit.services.control.fleet_status.fleet import (
    control,
    control_at,
    host,
    placement,
    registered,
)

SERVICE = "tandem.control.v1.FleetStatusService"


class Ads:
    """One client that asks for the endpoints of the group, and accepts what it is told."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def ask(self, **more: Any) -> None:
        request = DiscoveryRequest(type_url=ENDPOINTS, resource_names=["trial"], **more)
        request.node.id, request.node.locality.zone = "node-1", "laptop"
        await self._call.write(request)

    async def until(self, *ports: int) -> None:
        """Reads on until these are the ports that it knows."""
        while True:
            told = await self._call.read()
            assert told is not grpc.aio.EOF
            await self.ask(version_info=told.version_info, response_nonce=told.nonce)
            found = ClusterLoadAssignment.FromString(told.resources[0].value)
            known = {
                one.endpoint.address.socket_address.port_value
                for locality in found.endpoints
                for one in locality.lb_endpoints
            }
            if known == set(ports):
                return

    async def end(self) -> object:
        """What comes behind the last that it is told."""
        while (told := await self._call.read()) is not grpc.aio.EOF:
            assert told.type_url == ENDPOINTS
        return await self._call.code()


@asynccontextmanager
async def client_of(channel: grpc.aio.Channel) -> AsyncIterator[Ads]:
    stub: Any = AggregatedDiscoveryServiceStub(channel)
    call = stub.StreamAggregatedResources()
    ads = Ads(call)
    await ads.ask()
    try:
        yield ads
    finally:
        call.cancel()


async def test_a_host_is_told_while_it_is_registered(tmp_path: Path) -> None:
    """To clients on the control's own port: there when it registers, gone when it leaves."""
    async with control(tmp_path) as channel, client_of(channel) as client:
        async with registered(channel, host("a", 1)):
            async with registered(channel, host("b", 2)):
                await client.until(1, 2)
            await client.until(1)
        await client.until()


async def test_agents_are_listed_with_their_instances(tmp_path: Path) -> None:
    """By name, with where each runs and whether it takes calls."""
    sick = placement(BETA, serving=False)
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1, [placement(), sick])),
    ):
        await client.until(1)
        told = await rpc.FleetStatusServiceStub(channel).ListAgents(pb.ListAgentsRequest())
    assert not told.HasField("stale_time")
    assert [(one.service, one.short_name) for one in told.agents] == [
        (ALPHA, "trial-alpha"),
        (BETA, "trial-beta"),
    ]
    well, unwell = (one.instances[0] for one in told.agents)
    assert (well.instance, well.host, well.machine) == ("trial-alpha", "hosts/a", "laptop")
    assert (well.target, well.serving, unwell.serving) == ("127.0.0.1:1", True, False)


async def test_a_host_that_is_kept_is_listed_so(tmp_path: Path) -> None:
    """It takes calls although its lease ran out; until when is said."""
    clock = FakeClock()
    async with control(tmp_path, clock=clock) as channel:
        stub = rpc.FleetStatusServiceStub(channel)
        one = pb.FleetInstance()
        async with registered(channel, host("a", 1), ttl_s=3) as silent:
            silent.cancel()
            while not one.HasField("treatment"):
                await clock.advance(0.5)
                told = await stub.ListAgents(pb.ListAgentsRequest())
                one = told.agents[0].instances[0] if told.agents else one
    assert one.serving
    assert one.treatment.kind == pb.Treatment.KIND_KEPT
    assert one.treatment.until_time.ToDatetime(UTC) > clock.now()


async def test_an_agent_whose_contract_is_missing_hides_no_other(tmp_path: Path) -> None:
    """The host takes calls for the agent beside it."""
    lost = placement(BETA, digest="0" * 64)
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1, [placement(), lost])),
    ):
        await client.until(1)
        told = await rpc.FleetStatusServiceStub(channel).ListAgents(pb.ListAgentsRequest())
    assert [one.service for one in told.agents] == [ALPHA]


async def test_a_listing_comes_in_pages(tmp_path: Path) -> None:
    """Each page goes on where the one before ended; the last one has no token."""
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1, [placement(), placement(BETA)])),
    ):
        await client.until(1)
        stub = rpc.FleetStatusServiceStub(channel)
        first = await stub.ListAgents(pb.ListAgentsRequest(page_size=1))
        token = first.next_page_token
        last = await stub.ListAgents(pb.ListAgentsRequest(page_size=1, page_token=token))
    assert [one.service for page in (first, last) for one in page.agents] == [ALPHA, BETA]
    assert last.next_page_token == ""


async def test_a_token_of_another_listing_is_refused(tmp_path: Path) -> None:
    """With the reason of the family, and the field that is at fault."""
    async with control(tmp_path) as channel:
        stub = rpc.FleetStatusServiceStub(channel)
        for token in ("?", "AAAA"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ListSubscribers(pb.ListSubscribersRequest(page_token=token))
            failure = failure_of(raised.value)
            assert (failure.code, failure.reason) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "PAGE_TOKEN_INVALID",
            )
            assert failure.domain == "tandem.control.v1"
            assert "page_token" in failure.violations


async def test_a_client_is_listed_with_what_it_made_of_the_answer(tmp_path: Path) -> None:
    """The version that it accepted is the one that it was told."""
    async with control(tmp_path) as channel, client_of(channel) as client:
        stub = rpc.FleetStatusServiceStub(channel)
        async with registered(channel, host("a", 1)):
            await client.until(1)
            async with registered(channel, host("b", 2)):
                # Its acceptance of the first version came before it was told the second.
                await client.until(1, 2)
                told = await stub.ListSubscribers(pb.ListSubscribersRequest())
    (one,) = told.subscribers
    assert (one.node, one.machine) == ("node-1", "laptop")
    (asked,) = one.subscriptions
    assert asked.type == "envoy.config.endpoint.v3.ClusterLoadAssignment"
    assert asked.told_version != ""
    assert asked.accepted_version != ""
    assert asked.refusal == ""


async def test_without_a_registry_it_neither_serves_nor_tells(tmp_path: Path) -> None:
    """Silence keeps what clients know from another control; the list says how old it is."""
    settings = cfg.FleetStatusSettings(registry="127.0.0.1:1")
    async with control(tmp_path, settings) as channel:
        question = health_pb2.HealthCheckRequest(service=SERVICE)
        found = await health_pb2_grpc.HealthStub(channel).Check(question)
        assert found.status == health_pb2.HealthCheckResponse.NOT_SERVING
        told = await rpc.FleetStatusServiceStub(channel).ListAgents(pb.ListAgentsRequest())
        assert told.HasField("stale_time")
        assert list(told.agents) == []


async def test_streams_of_clients_end_with_the_host(tmp_path: Path) -> None:
    """Without an error: clients go on with what they know, and to the next control."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with grpc.aio.insecure_channel(address) as channel, AsyncExitStack() as stack:
            async with control_at(address, tmp_path), registered(channel, host("a", 1)):
                client = await stack.enter_async_context(client_of(channel))
                await client.until(1)
            assert await client.end() is grpc.StatusCode.OK


async def test_that_its_own_registry_ends_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that is told to end warns nobody of the hosts and the policy that it hears no more."""
    with caplog.at_level(logging.WARNING, "services.control"):
        async with control(tmp_path) as channel, client_of(channel) as client:
            await client.until()
    assert [line.getMessage() for line in lines_of(caplog, "services.control")] == []
