"""Which checkpoints there are, which is the last stable one, and which go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.machine.checkpoints.shelf import NoSuchCheckpoint, Shelf
from tests.unit.tandemkit.machine.checkpoints.stores import home_with_stores, taken


async def test_the_last_stable_one_is_the_last_that_was_verified(tmp_path: Path) -> None:
    """Until a look at it finds a fault."""
    home = await home_with_stores(tmp_path)
    shelf = Shelf(home)
    with pytest.raises(NoSuchCheckpoint):
        shelf.last_stable()
    kept = [taken(home, name) for name in ("a", "b", "c")]
    for one in kept[:2]:
        one.say_verified("now")
    assert shelf.kept("last-stable").name == "b"
    kept[1].say_verified("")
    assert shelf.last_stable().name == "a"


async def test_thinning_keeps_the_latest_and_never_takes_the_last_stable(tmp_path: Path) -> None:
    """Of one kind; the others are not counted."""
    home = await home_with_stores(tmp_path)
    shelf = Shelf(home)
    for name in ("a", "b", "c", "d"):
        taken(home, name)
    shelf.kept("a").say_verified("now")
    assert shelf.thin(pb.CHECKPOINT_KIND_BEFORE_RESTORE, 1) == []
    assert shelf.thin(pb.CHECKPOINT_KIND_ASKED, 2) == ["b"]
    assert shelf.names() == ["a", "c", "d"]


async def test_what_is_deleted_is_gone_at_once(tmp_path: Path) -> None:
    """And what is not there cannot be deleted."""
    home = await home_with_stores(tmp_path)
    taken(home, "a")
    Shelf(home).delete("a")
    assert Shelf(home).names() == []
    for name in ("a", "..", ""):
        with pytest.raises(NoSuchCheckpoint):
            Shelf(home).delete(name)
