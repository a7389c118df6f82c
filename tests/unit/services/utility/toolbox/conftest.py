"""The toolbox behind a real server, for every test of this folder that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.utility.toolbox.agent import AGENT
from tandem.utility.config.v1 import toolbox_pb2 as cfg
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving

# Small, so that tests reach them with little input.
SMALL = cfg.ToolboxSettings(
    text_bytes_max=100_000,
    compared_code_points_max=1_000,
    diff_lines_max=1_000,
    text_result_bytes_max=10_000,
    digest_bytes_max=10_000,
    digest_stream_bytes_max=50_000,
    document_bytes_max=20_000,
    document_depth_max=16,
    document_steps_max=20_000,
    archive_bytes_max=50_000,
    archive_content_bytes_max=100_000,
    archive_entries_max=20,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def toolbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[rpc.ToolboxServiceAsyncStub]:
    """A stub of an agent with the limits of SMALL, one for each file of tests: it has no state."""
    state_dir = tmp_path_factory.mktemp("toolbox")
    async with serving(AGENT, settings=SMALL, state_dir=state_dir) as channel:
        yield rpc.ToolboxServiceStub(channel)
