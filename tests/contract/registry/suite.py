"""The promises of `tandemkit.registry.protocol`, as tests: one suite for all backends. How one
plugs in: see `RegistrySuite`, and case.py for what it brings.
"""

from tests.contract.registry.elections import ElectionPromises
from tests.contract.registry.leases import LeasePromises
from tests.contract.registry.limits import LimitPromises
from tests.contract.registry.network import NetworkSuite
from tests.contract.registry.races import RacePromises
from tests.contract.registry.refusals import RefusalSuite
from tests.contract.registry.restarts import RestartSuite
from tests.contract.registry.values import ValuePromises
from tests.contract.registry.watches import WatchPromises


class RegistrySuite(
    LeasePromises, WatchPromises, ElectionPromises, ValuePromises, LimitPromises, RacePromises
):
    """What every backend promises while it is well. Its test module has a class that pytest finds,
    with the suites that apply and what brings the backend:

        class TestConsul(RegistrySuite, RestartSuite, NetworkSuite):
            @pytest.fixture
            async def case(self) -> AsyncIterator[Severable]:
                async with consul_case() as case:
                    yield case
    """


__all__ = ["NetworkSuite", "RefusalSuite", "RegistrySuite", "RestartSuite"]
