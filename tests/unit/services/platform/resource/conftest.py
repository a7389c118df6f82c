from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.platform.resource.agent import AGENT
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.resource import pools


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def resources(
    tmp_path: Path, clock: FakeClock
) -> AsyncIterator[rpc.ResourceServiceAsyncStub]:
    settings = pools.written(tmp_path)
    async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.ResourceServiceStub(channel)
