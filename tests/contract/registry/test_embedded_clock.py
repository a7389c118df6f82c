"""A process with an embedded registry whose wall clock is set forward and back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.moved_clock import moved_clock
from tests.cluster.eventually import eventually
from tests.contract.registry import embedded_ticker

pytestmark = pytest.mark.cluster

_HOUR_S = 3600.0


async def test_a_jump_of_the_wall_clock_ends_no_lease(tmp_path: Path) -> None:
    """An hour back a lease still runs out in its time, and an hour forward it still stands."""
    offset, log = tmp_path / "offset", tmp_path / "log"
    offset.write_text("+0")
    async with supervised_process(_ticker(tmp_path, offset, log)):
        first = await eventually(lambda: _last(log))
        assert first["keys"] == ["left", "renewed"]
        offset.write_text(f"-{_HOUR_S:.0f}")
        left = await eventually(lambda: _last(log), lambda last: last["keys"] == ["renewed"])
        assert left["wall_s"] < first["wall_s"]
        offset.write_text("+0")
        await eventually(
            lambda: _last(log),
            lambda last: last["elapsed_s"] > left["elapsed_s"] + 2 * embedded_ticker.TTL_S,
        )
    looks = _looks(log)
    assert looks[-1]["wall_s"] > first["wall_s"]
    assert all("renewed" in look["keys"] for look in looks)
    ended_s = next(look["elapsed_s"] for look in looks if "left" not in look["keys"])
    assert ended_s >= embedded_ticker.TTL_S


def _ticker(folder: Path, offset: Path, log: Path) -> Command:
    variables = {**moved_clock(offset), "PYTHONPATH": os.pathsep.join(sys.path)}
    state = folder / "registry"
    state.mkdir()
    argv = (sys.executable, embedded_ticker.__file__, str(state))
    return Command(argv, log, env=variables)


async def _last(log: Path) -> dict[str, Any]:
    return _looks(log)[-1]


def _looks(log: Path) -> list[dict[str, Any]]:
    # Behind the last line break stands nothing, or a line half written.
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]]
