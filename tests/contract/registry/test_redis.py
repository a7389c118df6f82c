"""The registry in a real Redis, held to the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.registry.case import Severable
from tests.contract.registry.redis_case import redis_case
from tests.contract.registry.suite import NetworkSuite, RegistrySuite, RestartSuite


class TestRedis(RegistrySuite, RestartSuite, NetworkSuite):
    @pytest.fixture
    async def case(self) -> AsyncIterator[Severable]:
        async with redis_case() as case:
            yield case
