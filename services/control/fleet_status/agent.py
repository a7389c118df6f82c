"""Tells every client of the mesh where the agents are, over xDS, and people what it tells.
Contract: tandem.control.v1.FleetStatusService.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from services.control.fleet_status.follower import Follower, RegistryLost
from services.control.fleet_status.front import Front
from services.control.fleet_status.policies import PolicyFollower
from services.control.fleet_status.servicer import Status
from services.control.fleet_status.telling import Telling
from tandem.control.config.v1 import fleet_status_pb2 as cfg
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.publication import Publication
from tandemkit.rpc import channel
from tandemkit.rpc.client import mesh
from tandemkit.rpc.remote import RemoteFailure

# Where hosts store their contracts.
_CONTRACTS = "contracts/"


class StubbedRegistry:
    """The registry behind a stub."""

    def __init__(self, stub: registry_rpc.RegistryServiceAsyncStub) -> None:
        self._stub = stub
        self._draining = False

    def drain(self) -> None:
        """From now on it is silent and not lost: it ends with the host, or the host without it."""
        self._draining = True

    async def watch(
        self, since_revision: int
    ) -> AsyncIterator[registry_service_pb2.WatchHostsResponse]:
        request = registry_service_pb2.WatchHostsRequest(since_revision=since_revision)
        try:
            async for told in self._stub.WatchHosts(request):
                yield told
        except grpc.aio.AioRpcError as error:
            raise await self._lost(error) from error

    async def value(self, key: str) -> AsyncIterator[registry_service_pb2.WatchValueResponse]:
        try:
            async for told in self._stub.WatchValue(
                registry_service_pb2.WatchValueRequest(key=key)
            ):
                yield told
        except grpc.aio.AioRpcError as error:
            raise await self._lost(error) from error

    async def contract(self, digest: str) -> registry_service_pb2.StoredValue | None:
        request = registry_service_pb2.GetValueRequest(key=f"{_CONTRACTS}{digest}")
        try:
            return (await self._stub.GetValue(request)).value
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise await self._lost(error) from error

    async def _lost(self, error: grpc.aio.AioRpcError) -> RegistryLost:
        if self._draining:
            # Until the host has ended, and with it whoever asked.
            await asyncio.Event().wait()
        said = RemoteFailure.of(error)
        message = "the registry does not answer"
        return RegistryLost(message, code=said.code.name, reason=said.reason, cause=said.message)


@asynccontextmanager
async def build(scope: Scope, settings: cfg.FleetStatusSettings) -> AsyncIterator[Status]:
    publication = Publication(scope.clock)
    discovery = DiscoveryServer(publication)
    near = None if settings.registry else scope.near
    # Not scope.stub: what tells the mesh cannot look for the registry there.
    target = settings.registry or channel.NOWHERE
    async with mesh(target, near, clock=scope.clock, token=scope.token) as calls:
        registry = StubbedRegistry(calls.stub(registry_rpc.RegistryServiceStub))
        telling = Telling(publication)
        follower = Follower(registry, telling, scope.clock)
        policies = PolicyFollower(registry, telling, scope.clock)
        scope.ready_when(follower.known)
        scope.ready_when(policies.known)
        scope.spawn("publication", publication.run())
        scope.spawn("follower", follower.run())
        scope.spawn("policies", policies.run())
        scope.spawn("follower:time", follower.pass_time())
        scope.spawn("follower:behind", follower.catch_up())
        front = Front(publication)
        scope.spawn("front", front.follow(scope.answer_for(front)))

        def drain() -> None:
            registry.drain()
            discovery.close()

        # gRPC's own xDS clients cannot show a token.
        scope.serve_also(discovery.generic_handler(), drain, public=True)
        yield Status(follower, policies, discovery)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.FleetStatusSettings,
    # The registry may be another control's, and what it said last stands while it is away.
    soft_calls=(registry_service_pb2.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
