"""The cache does not grow with every contract that anybody ever edited."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from leftovers import sweep

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def planted(path: Path, age: timedelta, mark: str = "") -> Path:
    path.mkdir(parents=True)
    aged = path / mark
    aged.touch()
    then = (NOW - age).timestamp()
    os.utime(aged, (then, then))
    return path


def test_what_a_killed_run_left_goes_after_a_day(tmp_path: Path) -> None:
    """A step that may still run keeps its folder."""
    old = planted(tmp_path / "tools" / "new-a", timedelta(days=2))
    step = planted(tmp_path / "step-b", timedelta(days=2))
    running = planted(tmp_path / "step-c", timedelta(hours=2))
    assert set(sweep(tmp_path, NOW)) == {old, step}
    assert running.exists()
    assert not old.exists()


def test_what_no_start_has_used_for_a_month_goes(tmp_path: Path) -> None:
    """An environment that is in use stays, however old it is."""
    unused = planted(tmp_path / "stubs" / "a", timedelta(days=40), "ready")
    used = planted(tmp_path / "stubs" / "b", timedelta(days=20), "ready")
    assert sweep(tmp_path, NOW) == [unused]
    assert used.exists()
