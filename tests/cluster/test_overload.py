"""A server that is asked for five times as much as it is on a usual day."""

from __future__ import annotations

from pathlib import Path

from tandemkit.rpc.priority import Priority
from tests.bench._usage import resident_mb
from tests.cluster.laden import SHED, laden

WORK_MS, FOR_S, TIMES = 5.0, 4.0, 5
# More than a crowded machine takes from a process at a time: no call fails for want of patience.
PATIENCE_S = dict.fromkeys(Priority, 30.0)
GROWN_MB = 40


async def test_m028_overload_sheds_batch_calls_and_no_interactive_one(tmp_path: Path) -> None:
    """Interactive calls are all answered, batch calls refused before standard ones, none that was
    let in fails, and memory does not grow.
    """
    async with laden(tmp_path, WORK_MS) as it:
        normal_per_s = await it.capacity_per_s() / 2
        before_mb = resident_mb(it.process.pid)
        by_class = await it.called(normal_per_s * TIMES, FOR_S, PATIENCE_S)
        grown_mb = resident_mb(it.process.pid) - before_mb
    interactive, standard, batch = (by_class[one] for one in Priority)
    told = "; ".join(f"{one.word}: {outcome}" for one, outcome in by_class.items())
    assert interactive.failed == 0, told
    for outcome in (standard, batch):
        assert outcome.failures.get(SHED, 0) == outcome.failed, told
    assert batch.failed / batch.started > standard.failed / standard.started, told
    assert batch.failed > batch.started / 2, told
    assert grown_mb < GROWN_MB, told


async def test_m028_batch_calls_are_served_where_there_is_room(tmp_path: Path) -> None:
    """On a usual day nobody is refused, whatever its class."""
    async with laden(tmp_path, WORK_MS) as it:
        by_class = await it.called(await it.capacity_per_s() / 4, FOR_S, PATIENCE_S)
    assert [outcome.failed for outcome in by_class.values()] == [0, 0, 0]
