"""A fleet with two agents that keep content, for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.services.memory.namespace.fleet import Fleet, fleet


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path) as it:
        yield it
