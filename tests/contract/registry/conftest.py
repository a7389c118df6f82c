"""The suite's asserts explain themselves like those of a test module."""

import pytest

for _part in (
    "case",
    "elections",
    "leases",
    "limits",
    "network",
    "races",
    "refusals",
    "restarts",
    "values",
    "watches",
):
    pytest.register_assert_rewrite(f"tests.contract.registry.{_part}")
