"""Catalogue rows M018 and M019: a machine's books, through a real server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.platform.resource.agent import AGENT
from services.platform.resource.files import PoolsRefused
from tandem.fleet.v1 import resources_pb2 as fleet
from tandem.platform.v1 import resource_pb2 as nouns
from tandem.platform.v1 import resource_service_pb2 as pb
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.platform.resource.pools import amounts, ask, written

CODE = grpc.StatusCode
Resources: TypeAlias = "rpc.ResourceServiceAsyncStub"
STANDARD, RESERVE = fleet.MEMORY_POOL_STANDARD, fleet.MEMORY_POOL_EMERGENCY_RESERVE


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def pool(
    resources: Resources, kind: fleet.MemoryPool.ValueType = STANDARD
) -> nouns.MemoryPoolAccount:
    answer = await resources.GetResources(pb.GetResourcesRequest())
    return next(one for one in answer.pools if one.pool == kind)


async def test_m018_over_commit_is_refused(resources: Resources) -> None:
    """With what is left, and who holds the rest, the biggest first; nothing is given."""
    await resources.AcquireGrant(ask("text-sum", amounts(20)))
    await resources.AcquireGrant(ask("text-tell", amounts(25)))
    failed = await refusal(resources.AcquireGrant(ask("look-see", amounts(16))))
    assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "RESOURCES_EXHAUSTED")
    assert failed.metadata == {
        "resource": "standard",
        "asked": "16",
        "free": "15",
        "missing": "standard",
        "holders": "text-tell has 25 for model; text-sum has 20 for model",
    }
    assert (await pool(resources)).granted_mib == 45


async def test_m019_a_full_pool_refuses_and_then_the_reserve_is_used(resources: Resources) -> None:
    """Only in an emergency, only as far as it goes, and everybody sees whose and why."""
    await resources.AcquireGrant(ask("text-tell", amounts(50)))
    await refusal(resources.AcquireGrant(ask("text-sum", amounts(20))))
    assert (await pool(resources, RESERVE)).granted_mib == 0
    urgent = ask("text-sum", amounts(20), emergency="users wait")
    grant = (await resources.AcquireGrant(urgent)).grant
    assert (grant.reserve_mib, grant.emergency) == (10, "users wait")
    reserve = await pool(resources, RESERVE)
    assert (reserve.size_mib, reserve.granted_mib, reserve.free_mib) == (14, 10, 4)
    assert (await pool(resources)).free_mib == 0
    failed = await refusal(
        resources.AcquireGrant(ask("look-see", amounts(5), emergency="users wait"))
    )
    assert (failed.reason, failed.metadata["free"]) == ("RESOURCES_EXHAUSTED", "4")
    await resources.ReleaseGrants(pb.ReleaseGrantsRequest(holder="text-sum"))
    assert (await pool(resources, RESERVE)).granted_mib == 0


async def test_all_or_nothing(resources: Resources) -> None:
    """Memory is not given where the cores are short."""
    await resources.AcquireGrant(ask("a", amounts(1, cores=0.25)))
    failed = await refusal(resources.AcquireGrant(ask("b", amounts(10, cores=1000))))
    assert failed.metadata["resource"] == "cores"
    assert failed.metadata["holders"] == "a has 0.25 for model"
    assert (await pool(resources)).granted_mib == 1


async def test_a_gpu_that_the_machine_does_not_have_is_named(resources: Resources) -> None:
    """No plan, no GPU to share; whether there is one is told apart."""
    failed = await refusal(resources.AcquireGrant(ask("a", amounts(gpu_percent=10))))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "GPU_UNKNOWN")
    check = pb.CheckGrantRequest(amounts=amounts(gpu_percent=10))
    assert (await refusal(resources.CheckGrant(check))).reason == "GPU_UNKNOWN"


async def test_asking_again_changes_what_is_held(resources: Resources) -> None:
    """A retry takes nothing twice; more is given if there is room for the difference, and if not
    the holder keeps what it has.
    """
    for _ in range(2):
        await resources.AcquireGrant(ask("a", amounts(40)))
    assert (await pool(resources)).granted_mib == 40
    await resources.AcquireGrant(ask("a", amounts(60)))
    assert (await pool(resources)).free_mib == 0
    await refusal(resources.AcquireGrant(ask("a", amounts(61))))
    assert (await pool(resources)).granted_mib == 60


async def test_m018_a_grant_whose_holder_is_gone_returns(
    resources: Resources, clock: FakeClock
) -> None:
    """It stops renewing, and after its term another has the memory; who renews keeps it."""
    await resources.AcquireGrant(ask("gone", amounts(30), term_s=5))
    await resources.AcquireGrant(ask("alive", amounts(30), term_s=5))
    for _ in range(4):
        await clock.advance(2)
        await resources.RenewGrants(pb.RenewGrantsRequest(holder="alive"))
    failed = await refusal(resources.RenewGrants(pb.RenewGrantsRequest(holder="gone")))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "GRANT_UNKNOWN")
    await resources.AcquireGrant(ask("heir", amounts(30)))
    listed = (await resources.ListGrants(pb.ListGrantsRequest(pool="standard"))).grants
    assert [one.holder for one in listed] == ["alive", "heir"]


async def test_m018_the_grant_of_a_process_returns_when_it_ends(tmp_path: Path) -> None:
    """At once, whatever is left of the term; also where it ended while the agent was down."""
    settings = written(tmp_path)
    request = ask("worker", amounts(60), term_s=1000)
    async with supervised_process(Command(("sleep", "60"), tmp_path / "log")) as holder:
        request.pid = holder.pid
        async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
            stub: Resources = rpc.ResourceServiceStub(channel)
            await stub.AcquireGrant(request)
        async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
            stub = rpc.ResourceServiceStub(channel)
            assert (await pool(stub)).free_mib == 0
            os.kill(holder.pid, signal.SIGKILL)
            await eventually(lambda: pool(stub), lambda it: it.free_mib == 60)
            failed = await refusal(stub.AcquireGrant(request))
            assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "PROCESS_NOT_RUNNING")
            assert (await pool(stub)).free_mib == 60
    async with supervised_process(Command(("sleep", "60"), tmp_path / "log")) as holder:
        request.pid = holder.pid
        async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
            await rpc.ResourceServiceStub(channel).AcquireGrant(request)
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        stub = rpc.ResourceServiceStub(channel)
        await eventually(lambda: pool(stub), lambda it: it.free_mib == 60)


async def test_grants_outlive_a_restart(tmp_path: Path) -> None:
    """What was told is in the books of the next life, the reserve included."""
    settings = written(tmp_path)
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        stub: Resources = rpc.ResourceServiceStub(channel)
        granted = ask("a", amounts(65, cores=0.5), emergency="users wait")
        first = (await stub.AcquireGrant(granted)).grant
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        stub = rpc.ResourceServiceStub(channel)
        (again,) = (await stub.ListGrants(pb.ListGrantsRequest())).grants
        again.expire_time.CopyFrom(first.expire_time)
        assert again == first
        assert (await pool(stub, RESERVE)).granted_mib == 5
        assert (await pool(stub)).free_mib == 0


async def test_concurrent_callers_are_given_no_more_than_there_is(resources: Resources) -> None:
    """Forty ask for 4 of 60 MiB at once; fifteen have it."""
    calls = (resources.AcquireGrant(ask(f"a{number}", amounts(4))) for number in range(40))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, pb.AcquireGrantResponse) for one in answers) == 15
    assert (await pool(resources)).free_mib == 0


async def test_what_would_be_is_told_without_changing_anything(resources: Resources) -> None:
    """What is missing, who has it, and whether the reserve would do."""
    await resources.AcquireGrant(ask("big", amounts(40)))
    await resources.AcquireGrant(ask("small", amounts(10)))
    fits = await resources.CheckGrant(pb.CheckGrantRequest(amounts=amounts(10)))
    assert not fits.shortfalls
    short = await resources.CheckGrant(pb.CheckGrantRequest(amounts=amounts(20)))
    (missing,) = short.shortfalls
    assert (missing.resource, missing.asked, missing.free) == ("standard", 20, 10)
    assert [one.holder for one in missing.holders] == ["big", "small"]
    assert short.reserve_would_do
    far = await resources.CheckGrant(pb.CheckGrantRequest(amounts=amounts(30)))
    assert not far.reserve_would_do
    own = pb.CheckGrantRequest(holder="big", use="model", amounts=amounts(50))
    assert not (await resources.CheckGrant(own)).shortfalls
    assert (await pool(resources)).granted_mib == 50


async def test_the_machine_is_read(resources: Resources) -> None:
    """Memory and cores come from the kernel, and a missing GPU is told as missing."""
    answer = await resources.GetResources(pb.GetResourcesRequest())
    assert 0 < answer.memory.available_bytes <= answer.memory.limit_bytes
    assert answer.memory.bound in {"machine", "cgroup v1", "cgroup v2"}
    assert answer.cores.size > 0
    assert bool(answer.gpus_absent) != bool([one for one in answer.gpus if one.memory_bytes])
    assert answer.source == "pools.yaml at 1, without a plan"


async def test_grants_are_listed_a_page_at_a_time(resources: Resources) -> None:
    """Each once, by holder."""
    for holder in ("b", "a", "c"):
        await resources.AcquireGrant(ask(holder, amounts(1)))
    request = pb.ListGrantsRequest(page_size=2)
    page = await resources.ListGrants(request)
    request.page_token = page.next_page_token
    rest = await resources.ListGrants(request)
    assert [one.holder for one in (*page.grants, *rest.grants)] == ["a", "b", "c"]
    assert not rest.next_page_token
    failed = await refusal(resources.ListGrants(pb.ListGrantsRequest(page_token="x")))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize(
    "request_",
    [
        ask("", amounts(1)),
        ask("a", amounts(1), "plan"),
        ask("a", amounts(-1)),
        ask("a", amounts(1, RESERVE)),
        ask("a", amounts(1), term_s=100_000),
        pb.AcquireGrantRequest(holder="a", use="model"),
    ],
)
async def test_what_breaks_a_rule_of_the_contract_is_refused(
    resources: Resources, request_: pb.AcquireGrantRequest
) -> None:
    """Before anything is granted."""
    assert (await refusal(resources.AcquireGrant(request_))).code == CODE.INVALID_ARGUMENT
    assert not (await resources.ListGrants(pb.ListGrantsRequest())).grants


async def test_m019_wrong_pools_fail_start_up(tmp_path: Path) -> None:
    """A pool that stands twice is named by its line."""
    text = "pools:\n  - {pool: critical, memory_mib: 1}\n  - {pool: critical, memory_mib: 2}\n"
    settings = written(tmp_path, text)
    with pytest.raises(PoolsRefused, match=r"pools\.yaml:3:12: .*this pool stands here twice"):
        async with serving(AGENT, settings=settings, state_dir=tmp_path):
            pass
