from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.platform.port_registry.agent import AGENT
from tandem.platform.v1 import port_registry_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.port_registry import desk


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ports() -> range:
    """Its first port is fixed, its last reserved; the others may be lent."""
    return desk.span(12)


@pytest.fixture
async def registry(
    tmp_path: Path, clock: FakeClock, ports: range
) -> AsyncIterator[rpc.PortRegistryServiceAsyncStub]:
    settings = desk.listed(tmp_path, ports)
    async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.PortRegistryServiceStub(channel)
