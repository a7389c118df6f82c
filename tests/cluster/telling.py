"""What a control tells of its hosts, beyond who serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandem.control.v1 import registry_service_pb2 as registry_pb2
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.supervise.tasks import Tasks
from tests.cluster.controlled import Controlled


async def treated(fleet: Controlled) -> dict[str, str]:
    """Hosts that are not told as their leases alone would have it, and how."""
    async with fleet.at("control") as channel:
        stub = rpc.FleetStatusServiceStub(channel)
        told = await stub.ListAgents(pb.ListAgentsRequest(), timeout=5)
    return {
        one.host: pb.Treatment.Kind.Name(one.treatment.kind)
        for agent in told.agents
        for one in agent.instances
        if one.HasField("treatment")
    }


@asynccontextmanager
async def removals(fleet: Controlled) -> AsyncIterator[list[str]]:
    """Names of the hosts that it says are gone, as long as the block lasts."""
    gone: list[str] = []
    async with fleet.at("control") as channel, Tasks() as tasks:
        stub = registry_rpc.RegistryServiceStub(channel)
        told = stub.WatchHosts(registry_pb2.WatchHostsRequest(), wait_for_ready=True)
        events = aiter(told)
        await anext(events)
        tasks.spawn("removals", _listen(events, gone))
        yield gone


async def _listen(events: AsyncIterator[registry_pb2.WatchHostsResponse], gone: list[str]) -> None:
    async for told in events:
        gone += [told.removed.host] if told.HasField("removed") else []
