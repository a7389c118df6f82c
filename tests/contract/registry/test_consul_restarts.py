"""A real Consul that is killed and started again has forgotten nothing that it promised to keep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.consul_spares import Spares, spare_consuls
from tests.contract.registry.suite import RestartSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spares() -> AsyncIterator[Spares]:
    async with spare_consuls() as spares:
        yield spares


@pytest_asyncio.fixture(loop_scope="module")
async def case(spares: Spares) -> AsyncIterator[ConsulCase]:
    """With a server to kill."""
    async with spares.one() as server, consul_case(server, ConsulCase) as case:
        yield case


class TestKilledConsul(RestartSuite):
    """Each test has a server of its own."""
