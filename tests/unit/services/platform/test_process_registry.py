from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.platform.process_registry import AGENT, Processes, note_of
from tandem.platform.config.v1 import process_registry_pb2 as cfg
from tandem.platform.v1 import process_registry_service_pb2 as pb
from tandem.platform.v1 import process_registry_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import KEY_LENGTH_MAX
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.roll.protocol import Key
from tandemkit.supervise.roll.registry import ProcessRegistry
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of

CODE = grpc.StatusCode
HOST = ("agents", "platform-process-registry")


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[rpc.ProcessRegistryServiceAsyncStub]:
    async with serving(AGENT, state_dir=tmp_path) as channel:
        yield rpc.ProcessRegistryServiceStub(channel)


def sleeper(folder: Path) -> Command:
    return Command((sys.executable, "-c", "import time; time.sleep(600)"), folder / "log")


def registering(pid: int, name: str = "one", **more: str) -> pb.RegisterProcessRequest:
    return pb.RegisterProcessRequest(namespace="workers", name=name, pid=pid, **more)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def names(stub: rpc.ProcessRegistryServiceAsyncStub) -> list[tuple[str, str]]:
    found = await stub.ListProcesses(pb.ListProcessesRequest())
    return [(one.namespace, one.name) for one in found.processes]


async def test_the_hosts_agents_have_names(processes: rpc.ProcessRegistryServiceAsyncStub) -> None:
    """Nobody registers them, and nobody takes them away."""
    assert await names(processes) == [HOST]
    request = pb.GetProcessRequest(namespace=HOST[0], name=HOST[1])
    found = (await processes.GetProcess(request)).process
    assert (found.pid, found.task != "") == (os.getpid(), True)
    taken = pb.DeregisterProcessRequest(namespace=HOST[0], name=HOST[1])
    failed = await refusal(processes.DeregisterProcess(taken))
    assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "PROCESS_NOT_YOURS")


async def test_m004_a_process_is_found_until_it_is_over(
    processes: rpc.ProcessRegistryServiceAsyncStub, tmp_path: Path
) -> None:
    """Watchers hear of both at once; its name is free again."""
    call = processes.WatchProcesses(pb.WatchProcessesRequest(namespace="workers"))
    told = aiter(call)
    assert not (await anext(told)).snapshot.processes
    async with supervised_process(sleeper(tmp_path)) as process:
        said = registering(process.pid, address="127.0.0.1:7000")
        first = (await processes.RegisterProcess(said)).process
        assert (await processes.RegisterProcess(said)).process == first
        assert (await anext(told)).changed.process == first
        failed = await refusal(processes.RegisterProcess(registering(os.getpid())))
        assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "PROCESS_NAME_TAKEN")
        assert failed.metadata["pid"] == str(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        removed = (await anext(told)).removed
        assert (removed.namespace, removed.name) == ("workers", "one")
    request = pb.GetProcessRequest(namespace="workers", name="one")
    failed = await refusal(processes.GetProcess(request))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "PROCESS_NOT_REGISTERED")
    gone = await refusal(processes.RegisterProcess(registering(process.pid)))
    assert (gone.code, gone.reason) == (CODE.FAILED_PRECONDITION, "PROCESS_NOT_RUNNING")
    await processes.RegisterProcess(registering(os.getpid()))
    call.cancel()


async def test_names_are_there_after_a_restart(tmp_path: Path) -> None:
    """Of those who still run."""
    async with (
        supervised_process(sleeper(tmp_path)) as process,
        serving(AGENT, state_dir=tmp_path / "state") as channel,
    ):
        stub = rpc.ProcessRegistryServiceStub(channel)
        await stub.RegisterProcess(registering(process.pid, "short"))
        kept = (await stub.RegisterProcess(registering(os.getpid(), "long"))).process
        await stub.RegisterProcess(registering(os.getpid(), "given-back"))
        back = pb.DeregisterProcessRequest(namespace="workers", name="given-back")
        await stub.DeregisterProcess(back)
    for _ in range(2):
        async with serving(AGENT, state_dir=tmp_path / "state") as channel:
            stub = rpc.ProcessRegistryServiceStub(channel)
            assert await names(stub) == [HOST, ("workers", "long")]
            request = pb.GetProcessRequest(namespace="workers", name="long")
            assert (await stub.GetProcess(request)).process == kept


async def test_many_are_listed_by_page(processes: rpc.ProcessRegistryServiceAsyncStub) -> None:
    """Each once, in their order."""
    for number in range(5):
        await processes.RegisterProcess(registering(os.getpid(), f"n{number}"))
    request = pb.ListProcessesRequest(namespace="workers", page_size=2)
    found: list[str] = []
    while True:
        page = await processes.ListProcesses(request)
        found += [one.name for one in page.processes]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [f"n{number}" for number in range(5)]
    request.namespace = "others"
    failed = await refusal(processes.ListProcesses(request))
    assert failed.reason == "PAGE_TOKEN_INVALID"


async def test_no_more_names_than_the_settings_allow(tmp_path: Path) -> None:
    """The host's own count among them; who has one keeps it."""
    settings = cfg.ProcessRegistrySettings(registered_max=2)
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        stub = rpc.ProcessRegistryServiceStub(channel)
        await stub.RegisterProcess(registering(os.getpid()))
        await stub.RegisterProcess(registering(os.getpid()))
        failed = await refusal(stub.RegisterProcess(registering(os.getpid(), "two")))
        assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "PROCESS_REGISTRY_FULL")


async def test_m004_an_agent_past_the_end_of_its_migration_does_not_serve(tmp_path: Path) -> None:
    """Until somebody takes the flag away."""
    settings = cfg.ProcessRegistrySettings()
    settings.migration.owner = "ana"
    settings.migration.end_time.FromJsonString("2026-01-01T00:00:00Z")
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        service = pb.DESCRIPTOR.services_by_name["ProcessRegistryService"].full_name
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize(
    "request_",
    [
        pb.RegisterProcessRequest(namespace="agents", name="one", pid=1),
        pb.RegisterProcessRequest(namespace="workers", name="a/b", pid=1),
        pb.RegisterProcessRequest(namespace="workers", name="one"),
    ],
)
async def test_bad_input_is_refused(
    processes: rpc.ProcessRegistryServiceAsyncStub, request_: pb.RegisterProcessRequest
) -> None:
    """Before anything is looked at."""
    assert (await refusal(processes.RegisterProcess(request_))).code is CODE.INVALID_ARGUMENT


async def test_machines_that_share_a_store_leave_each_others_notes_alone(tmp_path: Path) -> None:
    """A process of another machine is none here, and yet nobody's to forget."""
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        clock, state = SystemClock(), State(store)
        here, there = ProcessRegistry(clock), ProcessRegistry(clock)
        one = Processes(here, state, "mainpc", 10)
        other = Processes(there, state, "pc2", 10)
        entry = here.register_process(Key("workers", "one"), os.getpid())
        await state.put("names/mainpc/workers/one", note_of(entry))
        await other.restore()
        assert there.listed() == ()
        here.deregister(entry.key)
        await one.restore()
        assert [one.key for one in here.listed()] == [entry.key]
        here.close()
        there.close()


async def test_the_longest_name_can_be_noted(
    processes: rpc.ProcessRegistryServiceAsyncStub,
) -> None:
    """Whatever the contract takes fits into the store."""
    said = registering(os.getpid(), "n" * 120)
    said.namespace = "s" * 60
    await processes.RegisterProcess(said)
    assert len(f"names/{'m' * 63}/{said.namespace}/{said.name}") <= KEY_LENGTH_MAX
    said.name += "n"
    assert (await refusal(processes.RegisterProcess(said))).code is CODE.INVALID_ARGUMENT
