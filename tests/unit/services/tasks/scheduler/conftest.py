from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.tasks.scheduler.agent import AGENT
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.scheduler.targets import Target


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def target(clock: FakeClock) -> Target:
    return Target(clock)


@pytest.fixture
async def scheduler(
    tmp_path: Path, clock: FakeClock, target: Target
) -> AsyncIterator[rpc.SchedulerServiceAsyncStub]:
    beside = (target.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.SchedulerServiceStub(channel)
