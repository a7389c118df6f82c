"""A process with an embedded registry, killed in the midst of its writes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Lease, Snapshot
from tandemkit.supervise.processes import Command, supervised_process
from tests.cluster.eventually import eventually
from tests.contract.registry import embedded_writer

pytestmark = pytest.mark.cluster


async def test_kill_9_takes_back_nothing_that_was_told(tmp_path: Path) -> None:
    """Over five kills no version, token or revision that anybody learnt is gone or comes again."""
    folder = tmp_path / "registry"
    folder.mkdir()
    told = [0, 0, 0]
    for turn in range(5):
        token, version, revision, identity = await _killed_writer(folder, tmp_path / f"log{turn}")
        assert [token, version, revision] > told
        async with embedded_registry(folder, SystemClock()) as registry:
            found = await registry.get("policy")
            assert found is not None
            # The kill may come between a write and its being told, so one more may be there.
            assert 0 <= found.version - version <= 1
            await registry.renew(Lease(identity, "host-a", 600.0))
            watch = registry.watch()
            snapshot = await anext(watch)
            await watch.aclose()
            assert isinstance(snapshot, Snapshot)
            assert snapshot.revision > revision
            assert int(snapshot.entries[0].value) - token in {0, 1}
            leader = await registry.elect("planner", "control-a", 600.0)
            assert leader is not None
            assert leader.token > token
            told = [leader.token, found.version, snapshot.revision]


async def _killed_writer(folder: Path, log: Path) -> tuple[int, int, int, str]:
    """What the writer said last."""
    argv = (sys.executable, embedded_writer.__file__, str(folder))

    async def told() -> list[str]:
        return _lines(log)

    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with supervised_process(Command(argv, log, env=environment)) as writer:
        await eventually(told, lambda lines: len(lines) >= 20)
        os.killpg(writer.pid, signal.SIGKILL)
        await writer.wait()
        token, version, revision, identity = _lines(log)[-1].split()
    return int(token), int(version), int(revision), identity


def _lines(log: Path) -> list[str]:
    # Behind the last line break stands nothing, or a line half written.
    return log.read_text().split("\n")[:-1]
