"""What a checkpoint holds, and that it is there wholly or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.platform.config.v1.event_store_pb2 import EventStoreSettings
from tandem.tasks.config.v1.job_pb2 import JobSettings, NatsQueue
from tandemkit.machine.checkpoints.filling import Unreadable
from tandemkit.machine.checkpoints.room import NoRoom
from tandemkit.machine.checkpoints.servers import not_exported
from tandemkit.machine.checkpoints.shelf import NameTaken, Shelf
from tandemkit.storage.failure import Damaged
from tests.unit.tandemkit.machine.checkpoints.stores import (
    EVENTS,
    NUMBERS,
    add,
    faults_in,
    home_with_stores,
    numbers_in,
    opened,
    taken,
)


async def test_everything_below_state_is_held_by_rule(tmp_path: Path) -> None:
    """What an agent's own folder has for the moment alone is left out, with the reason; a caller's
    file of the same name is not.
    """
    home = await home_with_stores(tmp_path)
    with opened(home.folder / NUMBERS):
        kept = taken(home)
    held = {one.path: one for one in kept.manifest.files}
    assert held[NUMBERS].kind == held[EVENTS].kind == pb.CHECKPOINT_FILE_KIND_DATABASE
    assert [(one.name, one.rows) for one in held[NUMBERS].tables] == [("numbers", 100)]
    assert held["state/trial-files/below/link"].target == "long"
    assert held["state/trial-files/below/empty"].kind == pb.CHECKPOINT_FILE_KIND_FOLDER
    assert "state/trial-files/below/daily.lock" in held
    assert not any(path.endswith(("-wal", "-shm")) for path in held)
    omitted = {one.path: one.why for one in kept.manifest.omissions}
    assert omitted.keys() >= {"state/trial-files/run.lock", "state/trial-files/workers.log"}
    assert kept.manifest.events.position == 40
    assert numbers_in(kept.files / NUMBERS) == list(range(1, 101))
    assert faults_in(kept) == []


async def test_a_database_of_another_kind_is_a_file_like_any(tmp_path: Path) -> None:
    """Agents in other languages have their own."""
    home = await home_with_stores(tmp_path)
    (home.state / "trial-files" / "index.db").write_bytes(b"bbolt" * 1000)
    held = {one.path: one.kind for one in taken(home).manifest.files}
    assert held["state/trial-files/index.db"] == pb.CHECKPOINT_FILE_KIND_PLAIN


async def test_what_is_in_the_journal_alone_is_in_the_copy(tmp_path: Path) -> None:
    """The database's own file has none of it yet."""
    home = await home_with_stores(tmp_path)
    with opened(home.folder / NUMBERS) as database:
        database.execute("INSERT INTO numbers VALUES (1000, 'late')")
        assert numbers_in(taken(home).files / NUMBERS)[-1] == 1000


async def test_a_compressed_one_is_smaller_and_says_the_same(tmp_path: Path) -> None:
    """Its sums are those of the content."""
    home = await home_with_stores(tmp_path)
    plain, small = taken(home), taken(home, "small", compress=True)
    sizes = [sum(one.stat().st_size for one in kept.files.rglob("*")) for kept in (plain, small)]
    assert sizes[1] < sizes[0] / 2
    digests = [{one.path: one.digest for one in kept.manifest.files} for kept in (plain, small)]
    assert digests[0] == digests[1]
    assert faults_in(small) == []


async def test_a_damaged_store_is_refused_and_named(tmp_path: Path) -> None:
    """Unless it is to be kept as it is, byte for byte."""
    home = await home_with_stores(tmp_path)
    broken = home.folder / NUMBERS
    broken.write_bytes(b"\xff" * 8192)
    with pytest.raises(Damaged) as told:
        taken(home)
    assert told.value.metadata["file"] == NUMBERS
    assert Shelf(home).names() == []
    kept = taken(home, damage=True)
    assert (kept.files / NUMBERS).read_bytes() == broken.read_bytes()
    assert next(one.file for one in faults_in(kept)) == NUMBERS


async def test_a_store_that_somebody_keeps_for_himself_is_named(tmp_path: Path) -> None:
    """It is not damaged, and may be read the next time."""
    home = await home_with_stores(tmp_path)
    with opened(home.folder / NUMBERS) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("INSERT INTO numbers VALUES (8000, 'mine')")
        with pytest.raises(Unreadable) as told:
            taken(home)
    assert told.value.metadata["file"] == NUMBERS
    assert Shelf(home).names() == []
    assert faults_in(taken(home)) == []


async def test_what_no_checkpoint_has_is_said(tmp_path: Path) -> None:
    """What agents keep in servers that have to be dumped by themselves."""
    wanted = nouns.WantedMachine(machine="laptop")
    host = wanted.plan.machines.add(name="laptop").hosts.add(name="agents")
    for name, settings in (
        ("trial-events", EventStoreSettings(postgres_file="/etc/dsn")),
        ("trial-jobs", JobSettings(nats=NatsQueue(servers=["nats://localhost:4222"]))),
        ("trial-files", JobSettings()),
    ):
        host.agents.add(name=name).settings.Pack(settings)
    said = list(not_exported(wanted))
    assert [one.partition(":")[0] for one in said] == [
        "events of trial-events",
        "what waits in the queue of trial-jobs",
    ]


async def test_a_disk_that_fills_leaves_nothing(tmp_path: Path) -> None:
    """Neither half a checkpoint nor anything else that was not there before."""
    home = await home_with_stores(tmp_path)
    before = sorted(home.folder.rglob("*"))
    with _no_file_beyond(64 * 1024), pytest.raises(NoRoom):
        taken(home)
    left = {path for path in home.folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    assert left - {home.folder / "checkpoints"} == {
        path for path in before if not path.name.endswith(("-wal", "-shm"))
    }
    assert faults_in(taken(home)) == []


async def test_who_was_killed_midway_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """The next one takes it away."""
    home = await home_with_stores(tmp_path)
    left = Shelf(home).begun("kept")
    (left / "files" / "half").write_bytes(b"x")
    assert Shelf(home).names() == []
    taken(home)
    assert Shelf(home).names() == ["kept"]
    assert not left.exists()


async def test_a_name_is_given_once(tmp_path: Path) -> None:
    """Nothing is overwritten, and no name leads out of the folder."""
    home = await home_with_stores(tmp_path)
    taken(home)
    for name in ("kept", "last-stable", "../kept", ".kept", ""):
        with pytest.raises(NameTaken):
            taken(home, name)


async def test_each_holds_what_was_there_when_it_was_made(tmp_path: Path) -> None:
    """The second one what was added since, and the first one not."""
    home = await home_with_stores(tmp_path)
    first = taken(home, "first")
    add(home.folder / NUMBERS, range(101, 201))
    second = taken(home, "second")
    assert len(numbers_in(first.files / NUMBERS)) == 100
    assert len(numbers_in(second.files / NUMBERS)) == 200


@contextmanager
def _no_file_beyond(bytes_max: int) -> Iterator[None]:
    """No file of this process grows beyond: to SQLite and to Python it is a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
