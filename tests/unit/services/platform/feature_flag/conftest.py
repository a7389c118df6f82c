"""A flags' agent for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.feature_flag.flagged import Caller, flags_agent


@pytest.fixture
async def flags(tmp_path: Path) -> AsyncIterator[Caller]:
    with short_folder() as sockets:
        async with flags_agent(tmp_path, f"unix:{sockets}/flags") as caller:
            yield caller
