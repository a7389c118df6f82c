"""An orchestrator, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.services.memory.memory_client.clients import Client, client_of
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    return FakeOrchestrator()


@pytest.fixture
async def client(orchestrator: FakeOrchestrator, tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(orchestrator, tmp_path) as found:
        yield found
