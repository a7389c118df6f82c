"""The suite's asserts explain themselves like those of a test module."""

import pytest

for _part in ("case", "pages", "suite"):
    pytest.register_assert_rewrite(f"tests.contract.events.{_part}")
