"""The registry in a real Consul keeps the promises of every registry."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandemkit.testing.parts_consul import DurableConsul, durable_consul
from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.suite import NetworkSuite, RegistrySuite, RestartSuite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[DurableConsul]:
    """One for all that leave it as it is: each case has a prefix of its own."""
    async with durable_consul() as server:
        yield server


class TestConsul(RegistrySuite):
    """Each client is a registry of its own, as on two machines."""

    @pytest.fixture
    async def case(self, shared: DurableConsul) -> AsyncIterator[ConsulCase]:
        async with consul_case(shared) as case:
            yield case


class TestFailingConsul(RestartSuite, NetworkSuite):
    """Each test has a server to kill."""

    @pytest.fixture
    async def case(self) -> AsyncIterator[ConsulCase]:
        async with durable_consul() as server, consul_case(server) as case:
            yield case
