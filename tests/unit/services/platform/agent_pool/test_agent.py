"""The agent itself, with a real warm host and a registry that knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.platform.agent_pool.agent import AGENT
from tandem.control.v1 import registration_pb2 as control
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.config.v1 import agent_pool_pb2 as cfg
from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandem.platform.v1 import agent_pool_service_pb2_grpc as rpc
from tandem.platform.v1 import allocation_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, hosting
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.tandemkit.hosting.mortal import Mortal

CODE = grpc.StatusCode


@asynccontextmanager
async def pool(folder: Path, *, slots: int = 2) -> AsyncIterator[rpc.AgentPoolServiceAsyncStub]:
    """Of one host, whose program has the probe."""
    program = {probe.SERVICE: Mortal().agent}.__getitem__
    place = Place("127.0.0.1:0", folder / "host", SystemClock(), 0.0, program=program)
    async with hosting((), place) as port:
        host = control.Host(name="hosts/a", machine="here", group="warm", port=port)
        host.address = "127.0.0.1"

        async def watch(_request: object, _context: object) -> AsyncIterator[Any]:
            known = registry.WatchHostsResponse.Snapshot(hosts=[host])
            yield registry.WatchHostsResponse(snapshot=known)

        beside = [fake_agent(registry.DESCRIPTOR, WatchHosts=watch)]
        own = cfg.AgentPool(name="py", group="warm", agents=["*"], slots_per_host=slots)
        settings = cfg.AgentPoolSettings(pools=[own])
        async with serving(AGENT, settings=settings, beside=beside, state_dir=folder) as channel:
            yield rpc.AgentPoolServiceStub(channel)


def asked(suffix: str) -> pb.AllocateAgentRequest:
    return pb.AllocateAgentRequest(agent_type=probe.SERVICE, agent_name=suffix)


async def refusal(work: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await work
    return failure_of(refused.value)


async def test_an_allocation_says_by_which_header_the_instance_is_reached(tmp_path: Path) -> None:
    """And the listing, the pools, suspension and resumption know it by its name."""
    async with pool(tmp_path) as stub:
        given = await stub.AllocateAgent(asked("a"))
        assert (given.header, given.allocation.name) == ("x-tandem-instance", "probe-probe-a")
        assert (given.allocation.host, given.allocation.machine) == ("hosts/a", "here")
        listed = await stub.ListAllocations(pb.ListAllocationsRequest())
        assert [one.name for one in listed.allocations] == ["probe-probe-a"]
        (told,) = (await stub.GetPools(pb.GetPoolsRequest())).pools
        assert (told.slots, told.used, told.suspended) == (2, 1, 0)
        down = await stub.SuspendAgent(pb.SuspendAgentRequest(name="probe-probe-a"))
        assert down.allocation.state == nouns.ALLOCATION_STATE_SUSPENDED
        again = await stub.ResumeAgent(pb.ResumeAgentRequest(name="probe-probe-a"))
        assert again.allocation.state == nouns.ALLOCATION_STATE_ACTIVE
        released = await stub.ReleaseAgent(pb.ReleaseAgentRequest(name="probe-probe-a"))
        assert not released.was_so_already


async def test_each_refusal_has_its_reason(tmp_path: Path) -> None:
    """An unknown agent, an unknown name, a full pool with its delay, a token of no page."""
    async with pool(tmp_path, slots=1) as stub:
        unknown = asked("a")
        unknown.agent_type = "tandem.none.v1.NoneService"
        found = await refusal(stub.AllocateAgent(unknown))
        assert (found.code, found.reason) == (CODE.NOT_FOUND, "AGENT_TYPE_UNKNOWN")
        await stub.AllocateAgent(asked("a"))
        found = await refusal(stub.AllocateAgent(asked("b")))
        assert (found.code, found.reason) == (CODE.RESOURCE_EXHAUSTED, "POOL_EXHAUSTED")
        assert found.retry_after_s is not None
        found = await refusal(stub.ResumeAgent(pb.ResumeAgentRequest(name="probe-probe-b")))
        assert (found.code, found.reason) == (CODE.NOT_FOUND, "ALLOCATION_UNKNOWN")
        found = await refusal(stub.ListAllocations(pb.ListAllocationsRequest(page_token="x")))
        assert found.reason == "PAGE_TOKEN_INVALID"
        bad = asked("Not_A_Name")
        assert (await refusal(stub.AllocateAgent(bad))).reason == "INVALID_REQUEST"
