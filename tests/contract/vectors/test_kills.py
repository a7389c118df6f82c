"""A process that is killed in the midst of its writes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tandemkit.storage.vectors.files import file_vectors
from tandemkit.storage.vectors.protocol import Query
from tandemkit.storage.vectors.shelf import Maker
from tandemkit.supervise.processes import Command, supervised_process
from tests.cluster.eventually import eventually
from tests.contract.vectors import filling
from tests.contract.vectors.points import SPACE


@pytest.mark.parametrize("maker", Maker)
async def test_m149_kill_9_takes_nothing_acknowledged_and_brings_nothing_back(
    tmp_path: Path, maker: Maker
) -> None:
    """Over three kills: what was written is found, what was deleted is in no answer."""
    path = tmp_path / "vectors.sqlite"
    for turn in range(3):
        kept, gone = await _killed(path, maker, tmp_path / f"log{turn}")
        assert kept
        assert gone
        async with file_vectors(path, maker) as store:
            target = await store.open("one")
            points = {one: await target.fetch([one]) for one in kept}
            assert all(points.values())
            for one in [*kept][:20]:
                hits = await target.search(Query(points[one][0].values, SPACE, 1))
                assert [hit.id for hit in hits] == [one]
            assert await target.fetch([*gone][:1000]) == ()
            await store.keeping.built()
            for one in [*kept][-20:]:
                hits = await target.search(Query(points[one][0].values, SPACE, 5))
                assert hits[0].id == one
                assert not gone & {hit.id for hit in hits}
            # The next life writes the same ids again.
            await target.delete([*kept][:1000])


async def _killed(path: Path, maker: Maker, log: Path) -> tuple[set[str], set[str]]:
    """Which writes and which deletions were acknowledged."""
    argv = (sys.executable, filling.__file__, str(path), maker)

    async def told() -> list[str]:
        return [line for line in _lines(log) if line[:1] in "+-?"]

    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with supervised_process(Command(argv, log, env=environment)) as process:
        await eventually(told, lambda lines: len(lines) >= 150)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    lines = await told()
    written, begun, deleted = ({line[1:] for line in lines if line[:1] == kind} for kind in "+?-")
    return written - begun, deleted


def _lines(log: Path) -> list[str]:
    # Behind the last line break stands nothing, or a line half written.
    return log.read_text().split("\n")[:-1]
