from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.control.registry.agent import AGENT
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def registry(tmp_path: Path, clock: FakeClock) -> AsyncIterator[rpc.RegistryServiceAsyncStub]:
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.RegistryServiceStub(channel)
