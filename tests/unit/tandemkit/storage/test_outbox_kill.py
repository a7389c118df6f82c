"""The outbox of a process that is killed in the midst of it, again and again."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.storage.events.protocol import EventStore
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.storage.forwarding import Forwarding
from tandemkit.storage.outbox import Outbox
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.tasks import Tasks
from tests.unit.tandemkit.storage.teller import STREAM
from tests.unit.tandemkit.storage.teller import __name__ as teller

LIVES = ("a", "b", "c", "d")


async def killed(folder: Path, life: str, after: int) -> list[str]:
    """What it said it had kept when it was killed, at the earliest after so many."""
    log = folder / f"{life}.log"

    async def has_told() -> None:
        assert len(kept(log)) >= after

    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)}
    command = Command((sys.executable, "-m", teller, str(folder), life), log, env=variables)
    async with supervised_process(command, ready=has_told) as process:
        os.kill(process.pid, signal.SIGKILL)
    return kept(log)


def kept(log: Path) -> list[str]:
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [line.strip() for line in lines if line.endswith("\n")]


async def rest_of(folder: Path, store: EventStore) -> None:
    """Sends what is left."""
    box = Outbox(folder / "box", SystemClock())
    async with Tasks() as tasks:
        tasks.spawn("keep", box.run())
        await box.filled.wait()
        while await Forwarding(box, store, SystemClock()).forward():
            pass


@pytest.mark.timeout(120)
async def test_a_process_that_is_killed_while_it_tells_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    """What it said it had kept is in the store, once, in its order and without a gap."""
    said = {life: await killed(tmp_path, life, 30 * number) for number, life in enumerate(LIVES, 1)}
    async with sqlite_events(tmp_path / "store", SystemClock()) as store:
        await rest_of(tmp_path, store)
        after, found = 0, list[str]()
        while page := await store.read(STREAM, after):
            after = page[-1].version
            found += [one.id for one in page]
    for life, told in said.items():
        of_life = [one for one in found if one.startswith(life)]
        assert len(of_life) >= len(told) > 0
        assert of_life == [f"{life}-{number}" for number in range(1, len(of_life) + 1)]
    assert list(dict.fromkeys(one[0] for one in found)) == list(LIVES)
