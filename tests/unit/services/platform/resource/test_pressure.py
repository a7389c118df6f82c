"""Catalogue row M018 with real processes: they take memory, the kernel says so, and who is less
urgent gives it back.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.platform.resource.agent import AGENT
from tandem.control.v1 import machine_pb2 as control
from tandem.fleet.v1 import resources_pb2 as fleet
from tandem.platform.v1 import resource_service_pb2 as pb
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.platform.resource import machines
from tests.unit.services.platform.resource.hogs import Hogs, hogs
from tests.unit.services.platform.resource.pools import amounts, ask, written

Resources: TypeAlias = "rpc.ResourceServiceAsyncStub"
# The three processes together have some 110 MiB, and one of them will want 40 more.
_POOLS_MIB = {
    fleet.MEMORY_POOL_INFRASTRUCTURE: 20,
    fleet.MEMORY_POOL_CRITICAL: 60,
    fleet.MEMORY_POOL_STANDARD: 50,
    fleet.MEMORY_POOL_EMERGENCY_RESERVE: 10,
}


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[tuple[Resources, Hogs]]:
    """The agent beside a supervisor with real processes; only what these use is to count."""
    settings = written(folder)
    settings.pressure.scarce_percent, settings.pressure.stalled_percent = 0.001, 100
    settings.pressure.look_every.FromMilliseconds(100)
    settings.pressure.calm.FromMilliseconds(300)
    plan = machines.planned(_POOLS_MIB)
    async with (
        hogs(plan, folder) as running,
        serving(AGENT, settings=settings, beside=[running.agent], state_dir=folder) as channel,
    ):
        yield rpc.ResourceServiceStub(channel), running


async def test_m018_a_process_that_grows_suspends_a_standard_agent_before_a_critical_one(
    tmp_path: Path,
) -> None:
    """The standard one's process ends, though it was the critical one that grew; once that gives
    its memory back, both run.
    """
    async with guarded(tmp_path) as (resources, running):

        async def pressure() -> pb.GetResourcesResponse:
            return await resources.GetResources(pb.GetResourcesRequest())

        found = await eventually(pressure, lambda it: it.pressure.spare_mib > 0)
        assert found.source == "plan 3 of small"
        assert not found.pressure.suspensions
        running.signal("vital", signal.SIGUSR1)
        found = await eventually(pressure, lambda it: bool(it.pressure.suspensions))
        (suspended,) = found.pressure.suspensions
        assert (suspended.agent, suspended.host) == ("tell", "light")
        assert "the pools hold 140" in suspended.cause
        found = await eventually(pressure, lambda it: not it.pressure.over_mib)
        assert running.running == {"base", "vital"}
        running.signal("vital", signal.SIGUSR2)
        await eventually(pressure, lambda it: not it.pressure.suspensions)
        assert running.running == {"base", "vital", "light"}
        assert running.commands == [
            (control.VERB_SUSPEND, "tell"),
            (control.VERB_RESUME, "tell"),
        ]


async def test_m018_usage_is_measured_beside_what_was_planned(tmp_path: Path) -> None:
    """By host, as the kernel counts it; and who would go for how much."""
    async with guarded(tmp_path) as (resources, _):

        async def usage() -> pb.ListUsageResponse:
            try:
                return await resources.ListUsage(pb.ListUsageRequest())
            except grpc.aio.AioRpcError as error:
                assert failure_of(error).reason == "MACHINE_UNSEEN"
                raise LookupError from error

        found = {one.host: one for one in (await eventually(usage)).hosts}
        assert found["vital"].memory_bytes > 40 * 1024 * 1024
        assert found["base"].memory_bytes < found["vital"].memory_bytes
        assert found["light"].planned_mib == machines.OWN_MIB + 30
        assert [one.agent for one in found["light"].agents] == ["tell", "sum"]
        request = pb.ForecastSuspensionsRequest(memory_mib=25)
        answer = await resources.ForecastSuspensions(request)
        assert [one.agent for one in answer.suspensions] == ["tell", "sum"]
        assert answer.freed_mib == 30


async def test_m019_the_plan_is_in_the_books(tmp_path: Path) -> None:
    """Its claims are listed, leave less to grant, and its GPU is shared out with them counted."""
    async with guarded(tmp_path) as (resources, _):

        async def books() -> pb.GetResourcesResponse:
            return await resources.GetResources(pb.GetResourcesRequest())

        found = await eventually(books, lambda it: it.source == "plan 3 of small")
        standard = next(one for one in found.pools if one.pool == fleet.MEMORY_POOL_STANDARD)
        assert (standard.size_mib, standard.planned_mib, standard.free_mib) == (50, 35, 15)
        assert (found.gpus[0].gpu, found.gpus[0].free_percent) == ("gpu0", 60)
        await resources.AcquireGrant(ask("me", amounts(15, gpu_percent=60)))
        for wanted, holders in (
            (amounts(1), "tell has 20 for plan; me has 15 for model; sum has 10 for plan"),
            (amounts(gpu_percent=1), "me has 60 for model; hosts/box-light has 30 for plan"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await resources.AcquireGrant(ask("you", wanted))
            failed = failure_of(raised.value)
            assert failed.reason == "RESOURCES_EXHAUSTED"
            assert failed.metadata["holders"].startswith(holders)
        listed = (await resources.ListGrants(pb.ListGrantsRequest(holder="tell"))).grants
        assert [(one.use, one.amounts.memory_mib) for one in listed] == [("plan", 20)]
