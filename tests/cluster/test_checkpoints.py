"""Checkpoints of fleets that run, and what becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tandemkit.core.clock import stopwatch_s
from tests.cluster.aloud import Tell
from tests.cluster.checkpointed import AGENTS, SETTINGS, STORE, faults_of, writing
from tests.cluster.fleets import Checkout, detached_fleet

pytestmark = pytest.mark.cluster


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet(AGENTS, SETTINGS) as checkout:
        yield checkout


async def test_m033_a_corrupted_store_is_restored_verified_and_serves_within_a_minute(
    fleet: Checkout, tell: Tell
) -> None:
    """Under load, with a write in flight, while the checkpoint is made: what was acknowledged
    before is there, and no store is ahead of the one that was written before it.
    """
    async with writing(fleet) as writer, writer.running() as told:
        while told.event < 50:
            await writer.found()
        before = told.event
        made = await fleet.told("checkpoint", "kept")
        assert told.event > before
    # SQLite's journal is in the file then, and hides nothing of it.
    await fleet.tandem("down")
    store = fleet.home.folder / STORE
    with store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    await fleet.tandem("up", "-d", "--within-s", "5")
    broken = await fleet.tandem("verify", "--json")
    assert broken.returncode == 1
    assert any(one.startswith(STORE) for one in faults_of(broken.stdout))
    began_s = stopwatch_s()
    done = await fleet.told("restore", "kept", "--yes")
    took_s = stopwatch_s() - began_s
    assert done["serving"]
    assert took_s < 60
    async with writing(fleet) as writer:
        found = await writer.found()
    assert found.event >= before
    assert found.event <= found.value <= found.event + 1
    assert (await fleet.told("verify"))["sound"]
    tell("restored, verified and serving, s", round(took_s, 1))
    tell("writers had waited for the checkpoint, ms", round(1e3 * made["pause_s"], 1))
