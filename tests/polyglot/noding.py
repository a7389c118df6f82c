"""The host for Node, built as `./tandem up` builds it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.cli.node_host import NodeHost, obtain
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand

# The checkout, or what Pants has of it in its sandbox.
ROOT = Path(__file__).resolve().parents[2]


async def node_host() -> NodeHost:
    """Skips where the tools are absent, and fails with what they said of the sources."""
    demand("node")
    environment = replace(Environment.read(), root=ROOT)
    environment.cache.mkdir(parents=True, exist_ok=True)
    try:
        return await obtain(environment, Steps(sys.stderr, environment.cache))
    except StepFailure as failure:
        pytest.fail(f"{failure.step} failed:\n{failure.output}", pytrace=False)
