"""One fleet for each test, and for each language the driver that it is called with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.testing.parts import short_folder
from tests.cluster.aloud import tell
from tests.interop.building import Built, built
from tests.interop.real_fleet import Fleet, real_fleet

__all__ = ["driver", "fleet", "tell"]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    with short_folder() as folder:
        async with real_fleet(folder) as fleet:
            yield fleet


@pytest.fixture
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Built:
    """Of the language that the test is parametrized with."""
    return await built(request.param, tmp_path)
