"""The registry in a real Consul keeps the promises of every registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tandemkit.registry.consul import ConsulSettings, consul_registry
from tandemkit.registry.protocol import Lease, LeaseLost
from tandemkit.testing.parts_consul import DurableConsul, durable_consul
from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.suite import RegistrySuite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[DurableConsul]:
    """One for all, which leave it as it is: each case has a prefix of its own."""
    async with durable_consul() as server:
        yield server


class TestConsul(RegistrySuite):
    """Each client is a registry of its own, as on two machines."""

    @pytest.fixture
    async def case(self, shared: DurableConsul) -> AsyncIterator[ConsulCase]:
        async with consul_case(shared, ConsulCase) as case:
            yield case


@pytest.mark.parametrize("identity", ["", "1-", "1-../../kv/tandem", "x-" + "0" * 36, "1" * 99])
async def test_an_id_that_was_never_given_out_is_no_lease(
    shared: DurableConsul, identity: str
) -> None:
    """Ids come from hosts and go into paths of Consul, so nothing else may be in them."""
    async with consul_registry(ConsulSettings(url=shared.url, prefix="forged")) as registry:
        forged = Lease(identity, "host-a", LONG_TTL_S)
        for call in (registry.renew, partial(registry.register, key="agents/one", value=b"")):
            with pytest.raises(LeaseLost):
                await call(forged)
        await registry.close_lease(forged)
        await registry.deregister(forged, "agents/one")
