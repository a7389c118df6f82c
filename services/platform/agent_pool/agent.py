"""Instances of agents in the slots of warm hosts. Contract: tandem.platform.v1.AgentPoolService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.platform.agent_pool import refusal
from services.platform.agent_pool.allocating import Allocating
from services.platform.agent_pool.books import Books
from services.platform.agent_pool.hosts import Hosts
from services.platform.agent_pool.placing import Scene
from services.platform.agent_pool.pools import Pools
from services.platform.agent_pool.servicer import AgentPools
from services.platform.agent_pool.tending import Tending
from tandem.control.v1 import fleet_status_service_pb2 as fleet
from tandem.control.v1 import fleet_status_service_pb2_grpc as fleet_rpc
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.platform.config.v1 import agent_pool_pb2 as cfg
from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.errors import TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.machine.guests import Guests
from tandemkit.rpc.remote import RemoteFailure

_IDLE_MIN_S, _AWAY_MAX_S, _ALLOCATIONS_MAX = 1.0, 5.0, 1000
_PAGE, _ANSWER_WITHIN_S = 1000, 3.0


class StubbedFleet:
    """The fleet's registry and its status, behind their stubs."""

    def __init__(self, hosts: registry_rpc.RegistryServiceAsyncStub, status: Any) -> None:
        self._hosts, self._status = hosts, status

    async def hosts(self) -> AsyncGenerator[registry.WatchHostsResponse, None]:
        call: Any = self._hosts.WatchHosts(registry.WatchHostsRequest())
        try:
            async for told in call:
                yield told
        except grpc.aio.AioRpcError as error:
            raise _silent(error) from error
        finally:
            call.cancel()

    async def leads(self, host: str, service: str, name: str) -> bool:
        # A route is by the service as a whole, where a method is not its own.
        request = fleet.ExplainRouteRequest(method=f"{service}/Any", instance=name)
        try:
            told = await self._status.ExplainRoute(request, timeout=_ANSWER_WITHIN_S)
        except grpc.aio.AioRpcError:
            return True
        return any(one.host == host for target in told.route.targets for one in target.endpoints)

    async def services(self) -> dict[str, str]:
        found: dict[str, str] = {}
        request = fleet.ListAgentsRequest(page_size=_PAGE)
        while True:
            try:
                page = await self._status.ListAgents(request, timeout=_ANSWER_WITHIN_S)
            except grpc.aio.AioRpcError as error:
                raise _silent(error) from error
            found |= {one.short_name: one.service for one in page.agents}
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found


def _silent(error: grpc.aio.AioRpcError) -> TransientError:
    cause = RemoteFailure.of(error).message
    reason, message = errors.ERROR_REASON_POOL_AWAY, "control does not answer"
    return TransientError(reason, message, retry_after_s=refusal.RETRY_S, cause=cause)


def _scene(
    scope: Scope, settings: cfg.AgentPoolSettings, books: Books, source: StubbedFleet
) -> Scene:
    idle_min_s = _IDLE_MIN_S
    if settings.HasField("idle_min"):
        idle_min_s = settings.idle_min.ToTimedelta().total_seconds()
    note = policy.ChangeNote(author=scope.name, reason="slots of its pools")
    return Scene(
        Pools(settings.pools),
        books,
        Hosts(source, scope.clock),
        Guests(scope.token, note),
        scope.clock,
        idle_min_s,
        settings.allocations_max or _ALLOCATIONS_MAX,
    )


@asynccontextmanager
async def build(scope: Scope, settings: cfg.AgentPoolSettings) -> AsyncIterator[AgentPools]:
    books = Books(await scope.state())
    await books.restore()
    source = StubbedFleet(
        scope.stub(registry_rpc.RegistryServiceStub), scope.stub(fleet_rpc.FleetStatusServiceStub)
    )
    scene = _scene(scope, settings, books, source)
    away_max_s = _AWAY_MAX_S
    if settings.HasField("away_max"):
        away_max_s = settings.away_max.ToTimedelta().total_seconds()
    allocating = Allocating(scene)
    scope.begins_when(scene.hosts.known)
    scope.spawn("hosts", scene.hosts.follow())
    scope.spawn("tending", Tending(scene, allocating, away_max_s).run())
    try:
        yield AgentPools(scene, allocating, source)
    finally:
        await allocating.end()


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.AgentPoolSettings,
    calls=(registry.DESCRIPTOR,),
    # Short names are looked up there, and what clients of the mesh were told.
    soft_calls=(fleet.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
