"""The embedded registry keeps the promises of every registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.registry.embedded_case import EmbeddedCase, embedded_case
from tests.contract.registry.suite import RegistrySuite, RestartSuite


class TestEmbedded(RegistrySuite, RestartSuite):
    """Here a network has nothing to cut."""

    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[EmbeddedCase]:
        async with embedded_case(tmp_path) as case:
            yield case
