from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandemkit.rpc.contract import Contract
from tandemkit.testing import probe
from tandemkit.testing.control import known_control
from tests.contract.calls.paths import PATHS
from tests.contract.calls.scripted import Reached, reached_by


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_port() -> AsyncIterator[int]:
    """Where calls to `xds:///tandem` go. The control plane that says so needs a loop that outlives
    each test, hence the scope.
    """
    async with known_control(Contract.of(probe.DESCRIPTOR)) as port:
        yield port


@pytest_asyncio.fixture(params=PATHS, loop_scope="session")
async def it(request: pytest.FixtureRequest, mesh_port: int) -> AsyncIterator[Reached]:
    """An agent, called on each of the paths in turn."""
    async with reached_by(request.param, mesh_port) as reached:
        yield reached
