from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.tasks.workflow.agent import AGENT
from tandem.tasks.v1 import workflow_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.workflow.toolbox import Toolbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def toolbox() -> Toolbox:
    return Toolbox()


@pytest.fixture
async def workflows(
    tmp_path: Path, clock: FakeClock, toolbox: Toolbox
) -> AsyncIterator[rpc.WorkflowServiceAsyncStub]:
    beside = (toolbox.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.WorkflowServiceStub(channel)
