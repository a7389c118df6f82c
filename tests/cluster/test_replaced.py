"""Every process of one fleet dies and freezes in turn: each is replaced alone."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout, detached_fleet

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.cluster,
    pytest.mark.timeout(240),
]
CALL = ("call", "utility-toolbox/MeasureText", '{"text": "one two"}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet() as checkout:
        yield checkout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("name", ["keeper", "control", "agents"])
async def test_m022_whatever_dies_or_freezes_is_replaced(
    fleet: Checkout, name: str, number: signal.Signals
) -> None:
    """Alone, and within seconds."""
    before = fleet.pids()
    os.kill(before[name], number)
    await fleet.until_replaced(name, before[name])

    async def answer() -> int:
        return (await fleet.tandem(*CALL)).returncode

    await eventually(answer, lambda status: status == 0)
    after = fleet.pids()
    assert {**after, name: 0} == {**before, name: 0}
