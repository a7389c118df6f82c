"""The promises of `tandemkit.registry.protocol`, as tests: one suite for all backends.

How a backend plugs in: its module `test_<backend>.py` has a class for pytest that inherits the
parts which apply, and a fixture `case` (see case.py for what it brings):

    class TestConsul(RegistrySuite, RestartSuite, NetworkSuite):
        @pytest.fixture
        async def case(self) -> AsyncIterator[Severable]:
            async with consul_case() as case:
                yield case
"""

from tests.contract.registry.elections import ElectionPromises
from tests.contract.registry.leases import LeasePromises
from tests.contract.registry.network import NetworkSuite
from tests.contract.registry.restarts import RestartSuite
from tests.contract.registry.values import ValuePromises
from tests.contract.registry.watches import WatchPromises


class RegistrySuite(LeasePromises, WatchPromises, ElectionPromises, ValuePromises):
    """What every backend promises while it is well."""


__all__ = ["NetworkSuite", "RegistrySuite", "RestartSuite"]
