from collections.abc import AsyncIterator

import pytest

from tests.contract.calls.paths import PATHS
from tests.contract.calls.scripted import Reached, reached_by


@pytest.fixture(params=PATHS)
async def it(request: pytest.FixtureRequest) -> AsyncIterator[Reached]:
    """An agent, called on each of the paths in turn."""
    async with reached_by(PATHS[request.param]) as reached:
        yield reached
