"""Every test run: seeded properties, real parts that skip or fail where they are absent, and
nothing that outlives its test.
"""

import os
import sys

import pytest
from hypothesis import settings

from tandemkit.testing.leaks import (
    no_task_left,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_fixture_setup,
    pytest_runtest_teardown,
)
from tandemkit.testing.parts import demand

__all__ = [
    "no_task_left",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_fixture_setup",
    "pytest_runtest_teardown",
]

# Pants names some of its folders from where the test began; processes that a test starts with
# PYTHONPATH may begin elsewhere.
sys.path[:] = map(os.path.abspath, sys.path)

# The same examples in each run: a failure is always somebody's change, never the dice.
settings.register_profile("tandem", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("tandem")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.real("consul")` needs no fixture to skip, or to fail where demanded."""
    for marker in item.iter_markers("real"):
        for part in marker.args:
            demand(part)
