"""One fleet for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tandemkit.testing.parts import short_folder
from tests.cluster.mesh.trial_fleet import Fleet, trial_fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    with short_folder() as folder:
        async with trial_fleet(folder) as fleet:
            yield fleet
