"""Two replicas of the scheduler on a store that they share, each with a connection of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tandemkit.storage.state.stores import opened
from tandemkit.testing.clock import FakeClock
from tests.contract.state.test_hosted import store
from tests.unit.services.tasks.scheduler.lives import Callee, living

SCHEDULES, ROUNDS = 40, 3


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_m012_replicas_on_a_shared_store_fire_each_time_once(
    tmp_path: Path, kind: str
) -> None:
    """Both wake at the same moments; whoever claims a time first makes its call, and when one of
    them is gone the other goes on.
    """
    clock, first, second = FakeClock(), Callee(), Callee()
    async with (
        store(kind, tmp_path) as chosen,
        opened(chosen, "tasks-scheduler", tmp_path) as two,
        living(two, second, clock) as other,
    ):
        async with (
            opened(chosen, "tasks-scheduler", tmp_path) as one,
            living(one, first, clock) as life,
        ):
            for number in range(SCHEDULES):
                await life.keep(f"tick-{number}", every_s=60)
            other.agenda.look_again()
            for count in range(1, ROUNDS + 1):
                await clock.advance(60)
                for number in range(SCHEDULES):
                    await other.ended(f"tick-{number}", count)
        before = len(second.came)
        await clock.advance(60)
        for number in range(SCHEDULES):
            await other.ended(f"tick-{number}", ROUNDS + 1)
        assert len(second.came) == before + SCHEDULES
    came = Counter(first.came + second.came)
    assert len(came) == SCHEDULES * (ROUNDS + 1)
    assert set(came.values()) == {1}
