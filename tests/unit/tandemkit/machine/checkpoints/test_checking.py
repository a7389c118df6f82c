"""What is no longer what was written is named: the file, and as far as it goes the place in it."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tandemkit.machine.checkpoints.checking import Checker, Fault
from tandemkit.machine.checkpoints.shelf import ManifestDamaged, Shelf
from tandemkit.machine.home import Home
from tests.unit.tandemkit.machine.checkpoints.stores import (
    EVENTS,
    NUMBERS,
    faults_in,
    flip,
    home_with_stores,
    opened,
    taken,
)

_FLIPS = 60
PLAIN = "state/trial-files/below/long"


def of_home(home: Home) -> list[Fault]:
    return list(Checker(lambda _schema, _content: None, lambda _: None).home(home))


async def test_any_bit_that_flips_is_named_with_its_file(tmp_path: Path) -> None:
    """Wherever it is, in a database or not."""
    draw = random.Random(33)
    kept = taken(await home_with_stores(tmp_path))
    files = [one.path for one in kept.manifest.files if one.size]
    for _ in range(_FLIPS):
        name = draw.choice(files)
        bit = draw.randrange(8 * (kept.files / name).stat().st_size)
        flip(kept.files / name, bit)
        assert {one.file for one in faults_in(kept)} == {name}, (name, bit)
        flip(kept.files / name, bit)
    assert faults_in(kept) == []


async def test_any_bit_of_the_manifest_is_found(tmp_path: Path) -> None:
    """Nothing that it says is believed then."""
    home = await home_with_stores(tmp_path)
    kept = taken(home)
    manifest = kept.folder / "manifest.binpb"
    draw = random.Random(33)
    for _ in range(_FLIPS):
        bit = draw.randrange(8 * manifest.stat().st_size)
        flip(manifest, bit)
        with pytest.raises(ManifestDamaged):
            Shelf(home).kept("kept")
        flip(manifest, bit)
    assert Shelf(home).kept("kept").manifest == kept.manifest


async def test_a_page_of_a_database_is_named_with_its_table(tmp_path: Path) -> None:
    """And an event with its position."""
    kept = taken(await home_with_stores(tmp_path))
    path = kept.files / EVENTS
    content = path.read_bytes()
    place = content.index(b"x" * 90) + 10
    flip(path, 8 * place)
    said = [one.what for one in faults_in(kept) if one.file == EVENTS]
    page = place // 4096 + 1
    assert f"page {page}, of events: not what was written" in said[0]
    assert any(one.startswith("table events, position ") for one in said)


async def test_a_block_of_another_file_is_named_by_its_bytes(tmp_path: Path) -> None:
    """It has no pages."""
    kept = taken(await home_with_stores(tmp_path))
    flip(kept.files / PLAIN, 8 * 1_500_000)
    (fault,) = faults_in(kept)
    assert fault == Fault(PLAIN, "bytes 1048576 to 2097151: not what was written")


async def test_what_is_missing_and_what_is_too_much_is_named(tmp_path: Path) -> None:
    """A link that leads elsewhere too."""
    kept = taken(await home_with_stores(tmp_path))
    (kept.files / NUMBERS).unlink()
    (kept.files / "state/trial-files/below/link").unlink()
    (kept.files / "state/trial-files/below/link").symlink_to("/etc/passwd")
    (kept.files / "state/stranger").touch()
    said = {one.file: one.what for one in faults_in(kept)}
    assert said == {
        NUMBERS: "is missing",
        "state/trial-files/below/link": "is missing, or leads elsewhere: a link",
        "state/stranger": "is not in the manifest",
    }


async def test_a_compressed_file_is_found_out_too(tmp_path: Path) -> None:
    """Whether or not it can still be unpacked."""
    kept = taken(await home_with_stores(tmp_path), compress=True)
    path = kept.files / PLAIN
    flip(path, 8 * (path.stat().st_size // 2))
    assert {one.file for one in faults_in(kept)} == {PLAIN}


async def test_a_home_is_sound_while_it_is_written(tmp_path: Path) -> None:
    """A transaction under way is nobody's fault."""
    home = await home_with_stores(tmp_path)
    with opened(home.folder / NUMBERS) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO numbers VALUES (7000, 'half')")
        assert of_home(home) == []


async def test_a_changed_event_of_a_home_is_named(tmp_path: Path) -> None:
    """Its chain tells, for a home has no sums."""
    home = await home_with_stores(tmp_path)
    path = home.folder / EVENTS
    flip(path, 8 * (path.read_bytes().index(b"x" * 90) + 10))
    (fault,) = of_home(home)
    assert fault.file == EVENTS
    assert fault.what.startswith("table events, position ")


async def test_a_message_that_is_none_is_named_by_its_row(tmp_path: Path) -> None:
    """Where its schema is known."""
    home = await home_with_stores(tmp_path)
    path = home.state / "trial-box" / "box.outbox"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE outbox (number INTEGER PRIMARY KEY, kind TEXT, content)")
        database.execute("INSERT INTO outbox VALUES (7, 'tandem.trial.v1.Told', x'ff')")
        database.commit()
    checker = Checker(lambda _schema, content: content != b"\xff", lambda _: None)
    (fault,) = checker.home(home)
    assert fault.what == "table outbox, number 7: is no tandem.trial.v1.Told"
