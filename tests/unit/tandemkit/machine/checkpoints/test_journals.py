"""What SQLite's journal has lost is found before SQLite forgets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandemkit.machine.checkpoints.journals import lost
from tests.unit.tandemkit.machine.checkpoints.stores import add, flip, numbers_in, opened

_HEADER, _FRAME = 32, 24 + 4096


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """As a process that was killed leaves it: four commits stand in the journal alone."""
    source, path = tmp_path / "source.sqlite", tmp_path / "left.sqlite"
    with opened(source) as database:
        for number in range(1, 5):
            database.execute("INSERT INTO numbers VALUES (?, 'x')", (number,))
        for end in ("", "-wal"):
            content = source.with_name(f"{source.name}{end}").read_bytes()
            path.with_name(f"{path.name}{end}").write_bytes(content)
    return path


def journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_a_frame_that_changed_is_named_and_would_be_forgotten_silently(left: Path) -> None:
    """With all commits behind it."""
    assert lost(left) == ""
    frames = (journal_of(left).stat().st_size - _HEADER) // _FRAME
    flip(journal_of(left), 8 * (_HEADER + (frames - 2) * _FRAME + 100))
    assert lost(left).startswith(f"journal, frame {frames - 1} (page ")
    assert len(numbers_in(left)) < 4


def test_a_last_frame_that_was_half_written_is_no_fault(left: Path) -> None:
    """Nobody was told that it is there."""
    content = journal_of(left).read_bytes()
    journal_of(left).write_bytes(content[:-1000])
    assert lost(left) == ""
    journal_of(left).write_bytes(content[:-1000] + bytes(1000))
    assert lost(left) == ""


def test_a_journal_that_began_anew_over_an_older_one_is_sound(tmp_path: Path) -> None:
    """What is left of the older one is of other salt."""
    path = tmp_path / "one.sqlite"
    with opened(path) as database:
        add(path, range(1, 2000))
        database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        database.execute("INSERT INTO numbers VALUES (9000, 'x')")
        assert lost(path) == ""


def test_what_has_no_journal_has_lost_nothing(tmp_path: Path) -> None:
    """Nor has a journal without a beginning."""
    path = tmp_path / "one.sqlite"
    assert lost(path) == ""
    journal_of(path).write_bytes(b"short")
    assert lost(path) == ""
