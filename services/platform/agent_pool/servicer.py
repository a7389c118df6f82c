"""The contract's messages, made of the books and of what the fleet is."""

from __future__ import annotations

from typing import Protocol

from services.platform.agent_pool import refusal
from services.platform.agent_pool.allocating import Allocating
from services.platform.agent_pool.books import SUSPENDED
from services.platform.agent_pool.placing import Scene
from services.platform.agent_pool.pools import Pool
from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandem.platform.v1 import agent_pool_service_pb2_grpc as rpc
from tandem.platform.v1 import allocation_pb2 as nouns
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.core.names import AgentName
from tandemkit.rpc.context import Context
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.paging import TokenInvalid, page_of

_PAGE, _PAGE_MAX = 100, 1000


class Names(Protocol):
    """The fleet's agents by their names."""

    async def services(self) -> dict[str, str]:
        """Full names of contracts by short names. Raises TransientError."""


class AgentPools(rpc.AgentPoolServiceServicer):
    def __init__(self, scene: Scene, allocating: Allocating, names: Names) -> None:
        self._scene, self._allocating, self._names = scene, allocating, names

    async def AllocateAgent(
        self, request: pb.AllocateAgentRequest, _context: Context
    ) -> pb.AllocateAgentResponse:
        agent = await self._agent(request.agent_type)
        pool = self._scene.pools.of_agent(agent.short)
        if pool is None:
            raise refusal.unknown_type(request.agent_type, "no pool of the settings takes it")
        asked = nouns.Allocation(
            name=f"{agent.short}-{request.agent_name}",
            service=agent.service,
            pool=pool.name,
            pinned=request.pinned,
        )
        if request.HasField("lease"):
            asked.lease.CopyFrom(request.lease)
        given = await self._allocating.allocate(asked)
        if given.allocation.HasField("expire_time"):
            # Whoever waits for the next end has to learn of this one.
            self._scene.hosts.news.set()
        return pb.AllocateAgentResponse(
            allocation=given.allocation,
            header=INSTANCE_HEADER,
            was_so_already=given.was_so_already,
            resumed=given.resumed,
        )

    async def ReleaseAgent(
        self, request: pb.ReleaseAgentRequest, _context: Context
    ) -> pb.ReleaseAgentResponse:
        was_so = await self._allocating.release(request.name)
        return pb.ReleaseAgentResponse(was_so_already=was_so)

    async def SuspendAgent(
        self, request: pb.SuspendAgentRequest, _context: Context
    ) -> pb.SuspendAgentResponse:
        return pb.SuspendAgentResponse(allocation=await self._allocating.suspend(request.name))

    async def ResumeAgent(
        self, request: pb.ResumeAgentRequest, _context: Context
    ) -> pb.ResumeAgentResponse:
        known = self._scene.books.by_name.get(request.name)
        if known is None:
            raise refusal.unknown(request.name)
        given = await self._allocating.allocate(known)
        return pb.ResumeAgentResponse(allocation=given.allocation)

    async def ListAllocations(
        self, request: pb.ListAllocationsRequest, _context: Context
    ) -> pb.ListAllocationsResponse:
        known = self._scene.books.by_name
        names = sorted(name for name, one in known.items() if request.pool in {"", one.pool})
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        try:
            page = page_of(names, scope=request.pool, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            said = "the page token belongs to no page of this listing"
            raise CallerError(reason, said, field="page_token") from error
        found = [known[name] for name in page.names]
        return pb.ListAllocationsResponse(allocations=found, next_page_token=page.next_token)

    async def GetPools(
        self, _request: pb.GetPoolsRequest, _context: Context
    ) -> pb.GetPoolsResponse:
        return pb.GetPoolsResponse(pools=map(self._standing, self._scene.pools.all))

    def _standing(self, pool: Pool) -> nouns.PoolStanding:
        scene = self._scene
        own = [one for one in scene.books.by_name.values() if one.pool == pool.name]
        active = [one for one in own if one.state != SUSPENDED]
        hosts = sorted(one.name for one in scene.hosts.by_name.values() if pool.has(one))
        return nouns.PoolStanding(
            name=pool.name,
            runtime=pool.runtime,
            slots=pool.slots_per_host * len(hosts),
            used=len(active),
            suspended=len(own) - len(active),
            pinned=sum(one.pinned for one in active),
            slot_memory_mib=pool.slot_memory_mib,
            hosts=[
                nouns.PoolHost(
                    host=name,
                    machine=scene.hosts.by_name[name].machine,
                    address=scene.hosts.address(name),
                    used=scene.books.used(name),
                )
                for name in hosts
            ],
        )

    async def _agent(self, agent_type: str) -> AgentName:
        """By the full name of its contract, or the short name of one that the fleet serves."""
        try:
            return AgentName.of(agent_type)
        except ValueError:
            known = await self._names.services()
        if agent_type not in known:
            why = "no agent of the fleet has that short name; the full name of a contract does too"
            raise refusal.unknown_type(agent_type, why)
        return AgentName.of(known[agent_type])
