"""What a restore knows of deletions that its checkpoint does not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tandem.memory.v1 import deletion_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.machine.checkpoints.forgotten import forgotten_since
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.home import Home
from tandemkit.storage.failure import Damaged
from tests.unit.tandemkit.machine.checkpoints.stores import home_with_stores, taken

PLACE = "memory-namespace/deletions.binpb"


def _note(state: Path, name: str, later_s: float) -> None:
    """One more deletion, so much later than now."""
    place = state / PLACE
    place.parent.mkdir(exist_ok=True)
    log = pb.DeletionLog.FromString(place.read_bytes() if place.exists() else b"")
    entry = log.entries.add(name=name, complete=True)
    entry.time.FromDatetime(SystemClock().now() + timedelta(seconds=later_s))
    place.write_bytes(log.SerializeToString())


def _names(home: Home) -> list[str]:
    log = pb.DeletionLog.FromString((home.state / PLACE).read_bytes())
    return [one.name for one in log.entries]


async def test_a_deletion_since_a_checkpoint_is_known_after_any_restore(tmp_path: Path) -> None:
    """The list of them is carried over, so the next restore knows it too; done again it is the
    same.
    """
    home = await home_with_stores(tmp_path)
    _note(home.state, "deletions/before", -60)
    kept = taken(home)
    assert forgotten_since(home, kept.manifest) == []
    _note(home.state, "deletions/since", 60)
    assert [one.name for one in forgotten_since(home, kept.manifest)] == ["deletions/since"]
    restore = Restore(home)
    restore.folder.mkdir()
    restore.lay_out(kept, lambda _: None)
    for _ in range(2):
        restore.carry_over()
    restore.swap()
    assert _names(home) == ["deletions/before", "deletions/since"]
    assert [one.name for one in forgotten_since(home, kept.manifest)] == ["deletions/since"]


async def test_a_list_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    """Nothing is restored past it in silence."""
    home = await home_with_stores(tmp_path)
    kept = taken(home)
    (home.state / PLACE).parent.mkdir()
    (home.state / PLACE).write_bytes(b"\xff\xff\xff")
    with pytest.raises(Damaged):
        forgotten_since(home, kept.manifest)
