"""The steps of a restore, broken off at any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1.registry_service_pb2 import StoredValue
from tandemkit.machine.checkpoints.restoring import Interrupted, Restore
from tandemkit.machine.checkpoints.shelf import Kept
from tandemkit.machine.home import Home
from tandemkit.registry.embedded_store import Store
from tandemkit.storage.failure import Damaged
from tests.unit.tandemkit.machine.checkpoints.stores import (
    NUMBERS,
    add,
    flip,
    home_with_stores,
    numbers_in,
    taken,
)

PLAIN = "state/trial-files/below/long"


def journal_of(name: str = "kept") -> pb.RestoreJournal:
    return pb.RestoreJournal(checkpoint=name, aside="aside")


def restored(home: Home, kept: Kept) -> None:
    """All steps that change files."""
    restore = Restore(home)
    journal = restore.begin(journal_of(kept.name))
    if journal.step < pb.RESTORE_STEP_SWAPPING:
        restore.lay_out(kept, lambda _: None)
        restore.note(journal, pb.RESTORE_STEP_SWAPPING)
    restore.swap()
    restore.note(journal, pb.RESTORE_STEP_SWAPPED)
    restore.finish()


def snapshot(home: Home) -> dict[str, bytes | str]:
    """All files and links below state, but for what SQLite and locks leave beside them."""
    found: dict[str, bytes | str] = {}
    for path in sorted(home.state.rglob("*")):
        name = str(path.relative_to(home.folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and not path.name.endswith(("-wal", "-shm", "lock", ".log")):
            found[name] = b"" if path.suffix == ".sqlite" else path.read_bytes()
    return found


@pytest.mark.parametrize("compress", [False, True])
async def test_what_comes_back_is_what_was_kept(tmp_path: Path, compress: bool) -> None:
    """Files, links, modes and times; nothing that was made since."""
    home = await home_with_stores(tmp_path)
    (home.folder / PLAIN).chmod(0o640)
    look, before = (home.folder / PLAIN).stat(), snapshot(home)
    kept = taken(home, compress=compress)
    add(home.folder / NUMBERS, range(101, 201))
    (home.folder / PLAIN).write_bytes(b"another")
    (home.state / "trial-new").mkdir()
    (home.state / "trial-new" / "file").touch()
    restored(home, kept)
    assert snapshot(home) == before
    after = (home.folder / PLAIN).stat()
    assert (after.st_mode, after.st_mtime_ns) == (look.st_mode, look.st_mtime_ns)
    assert numbers_in(home.folder / NUMBERS) == list(range(1, 101))
    assert Restore(home).journal is None


def value(number: int) -> bytes:
    """As a registry keeps one."""
    stored = StoredValue(schema="tandem.trial.v1.Number", content=bytes([number]))
    return stored.SerializeToString()


class _Killed(Exception):
    """What comes instead of the next step."""


class _Breaking(Restore):
    """Ends before the rename of that number."""

    left = 0

    def _place(self, source: Path, target: Path) -> None:
        if not self.left:
            raise _Killed
        self.left -= 1
        super()._place(source, target)


@pytest.mark.parametrize("renames", range(4))
async def test_a_swap_that_was_broken_off_is_gone_on_with(tmp_path: Path, renames: int) -> None:
    """Before each of its renames; also where somebody made the folders again in between."""
    home = await home_with_stores(tmp_path)
    home.outbox.parent.mkdir(exist_ok=True)
    (home.outbox.parent / "old").touch()
    kept = taken(home)
    add(home.folder / NUMBERS, range(101, 201))
    breaking = _Breaking(home)
    journal = breaking.begin(journal_of())
    breaking.lay_out(kept, lambda _: None)
    breaking.note(journal, pb.RESTORE_STEP_SWAPPING)
    breaking.left = renames
    with pytest.raises(_Killed):
        breaking.swap()
    home.prepare()
    assert Restore(home).half_done is not None
    restored(home, kept)
    assert numbers_in(home.folder / NUMBERS) == list(range(1, 101))
    assert Restore(home).half_done is None


async def test_one_that_had_changed_nothing_begins_anew(tmp_path: Path) -> None:
    """And another checkpoint may be restored instead; what ran is remembered over it."""
    home = await home_with_stores(tmp_path)
    kept = taken(home)
    journal = journal_of("other")
    journal.present.machine = "laptop"
    Restore(home).begin(journal)
    assert Restore(home).half_done is None
    assert Restore(home).begin(journal_of()).present.machine == "laptop"
    restored(home, kept)


async def test_another_checkpoint_waits_for_the_one_that_is_half_done(tmp_path: Path) -> None:
    """It would be restored over half of each."""
    home = await home_with_stores(tmp_path)
    restore = Restore(home)
    restore.note(restore.begin(journal_of("other")), pb.RESTORE_STEP_SWAPPING)
    with pytest.raises(Interrupted) as told:
        Restore(home).begin(journal_of())
    assert told.value.metadata["checkpoint"] == "other"


async def test_a_file_that_changed_since_it_was_verified_is_not_laid_out(tmp_path: Path) -> None:
    """Nothing has changed then."""
    home = await home_with_stores(tmp_path)
    kept, before = taken(home), snapshot(home)
    flip(kept.files / PLAIN, 99)
    restore = Restore(home)
    restore.begin(journal_of())
    with pytest.raises(Damaged) as told:
        restore.lay_out(kept, lambda _: None)
    assert told.value.metadata["file"] == PLAIN
    assert snapshot(home) == before


async def test_versions_of_a_registry_that_came_back_are_above_all_before(tmp_path: Path) -> None:
    """Also tokens of elections and revisions: hosts of other machines know the later ones."""
    home = await home_with_stores(tmp_path)
    path = home.state / "trial-registry" / "values.sqlite"
    path.parent.mkdir()
    store = Store(path)
    store.put("a", value(1), None, None)
    store.elect("planner", "a", 1.0)
    kept = taken(home)
    later = store.put("a", value(2), None, None)
    token = max(store.elect(name, "b", 1.0).token for name in ("planner", "new"))
    revisions = store.reserve_revisions()
    store.close()
    restored(home, kept)
    store = Store(path)
    found = store.get("a")
    assert found is not None
    assert found.value == value(1)
    assert store.put("a", value(3), found.version, None) > later
    assert min(store.elect(name, "c", 1.0).token for name in ("planner", "new")) > token
    assert store.reserve_revisions().start > revisions.stop
    store.close()


async def test_a_journal_that_was_lost_with_the_power_is_no_sound_home(tmp_path: Path) -> None:
    """An empty file is a message too, of a restore that has not begun."""
    home = await home_with_stores(tmp_path)
    restore = Restore(home)
    restore.begin(journal_of())
    (restore.folder / "journal.binpb").write_bytes(b"")
    with pytest.raises(Damaged):
        assert restore.half_done
