"""The Go host as this checkout has it, for tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.cli.checkout import cache_of
from tandemkit.cli.go_host import GoHost, obtain
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand

# The checkout, or what Pants has of it in its sandbox.
ROOT = Path(__file__).resolve().parents[2]


async def go_host() -> GoHost:
    """Skips where Go is absent, and fails with what it said."""
    demand("go")
    environment = replace(Environment.read(), root=ROOT)
    try:
        return await obtain(environment, Steps(sys.stderr, cache_of(environment)))
    except StepFailure as failure:
        pytest.fail(f"{failure.step} failed:\n{failure.output}", pytrace=False)
