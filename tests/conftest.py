"""Every test run: seeded properties, and real parts that skip or fail where they are absent."""

import pytest
from hypothesis import settings

from tandemkit.testing.parts import demand

# The same examples in each run: a failure is always somebody's change, never the dice.
settings.register_profile("tandem", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("tandem")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.real("consul")` needs no fixture to skip, or to fail where demanded."""
    for marker in item.iter_markers("real"):
        for part in marker.args:
            demand(part)
