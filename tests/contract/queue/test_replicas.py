"""Two instances of the agent of jobs on one broker and one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.tasks.job.agent import AGENT
from tandem.fleet.v1.state_pb2 import StatePostgres, StateStore
from tandem.platform.v1 import system_service_pb2 as system
from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import job_pb2
from tandem.tasks.v1 import job_service_pb2 as pb
from tandem.tasks.v1 import job_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_queues import nats_broker
from tandemkit.testing.parts_storage import postgres_server

_CLOCK = SystemClock()
JOBS = 60


class Callee:
    """Counts who is at the same work at the same time."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.at_work: Counter[str] = Counter()
        self.doubled: set[str] = set()

    async def ListSystem(self, _request: Any, context: Any) -> system.ListSystemResponse:
        key = dict(context.invocation_metadata())[KEY_HEADER]
        self.calls[key] += 1
        self.at_work[key] += 1
        if self.at_work[key] > 1:
            self.doubled.add(key)
        await _CLOCK.sleep(0.02)
        self.at_work[key] -= 1
        return system.ListSystemResponse()


@asynccontextmanager
async def replica(
    folder: Path, dsn_file: Path, settings: cfg.JobSettings, callee: Callee
) -> AsyncIterator[Any]:
    await asyncio.to_thread(folder.mkdir)
    address = f"unix:{folder}/sock"
    store = StateStore(postgres=StatePostgres(dsn_file=str(dsn_file)))
    beside = fake_agent(system.DESCRIPTOR, ListSystem=callee.ListSystem)
    place = Place(address, folder / "state", _CLOCK, 0.0, store=store)
    placed = (Placed(AGENT, settings), Placed(beside, None))
    async with hosting(placed, place), grpc.aio.insecure_channel(address) as channel:
        yield rpc.JobServiceStub(channel)


@pytest.mark.real("nats", "postgres")
async def test_m013_two_instances_share_jobs_and_never_try_one_at_a_time() -> None:
    """Both work, and a job submitted to both, whose message comes twice, is called once."""
    one, other = Callee(), Callee()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        postgres = await stack.enter_async_context(postgres_server())
        broker = await stack.enter_async_context(nats_broker())
        (dsn := folder / "dsn").write_text(postgres.dsn)
        nats = cfg.NatsQueue(servers=[f"nats://127.0.0.1:{broker.port}"])
        settings = cfg.JobSettings(nats=nats, workers=4)
        first, second = [
            await stack.enter_async_context(replica(folder / name, dsn, settings, callee))
            for name, callee in (("a", one), ("b", other))
        ]

        async def submitted(number: int) -> str:
            request = pb.SubmitJobRequest(request_id=f"work-{number}")
            request.call.method = "/tandem.platform.v1.SystemService/ListSystem"
            told = await asyncio.gather(first.SubmitJob(request), second.SubmitJob(request))
            (name,) = {str(one.job.name) for one in told}
            return name

        names = [await submitted(number) for number in range(JOBS)]
        for name in names:
            states = [
                told.job.state async for told in second.WatchJob(pb.WatchJobRequest(name=name))
            ]
            assert states[-1] == job_pb2.JOB_STATE_DONE
    assert one.calls
    assert other.calls
    assert not one.doubled | other.doubled
    both = one.calls + other.calls
    assert set(both) == {name.removeprefix("jobs/") for name in names}
    assert set(both.values()) == {1}
