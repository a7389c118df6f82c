"""One moment of databases that are written to all the while."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from tandemkit.machine.checkpoints.moment import Busy, one_moment
from tests.unit.tandemkit.machine.checkpoints.stores import opened

_MOMENTS = 30
_COUNT = "SELECT count(*) FROM numbers"
_ADD = "INSERT INTO numbers (said) VALUES ('x')"


def counted(database: sqlite3.Connection) -> int:
    return int(database.execute(_COUNT).fetchone()[0])


async def test_no_store_is_ahead_of_the_one_that_is_written_before_it(tmp_path: Path) -> None:
    """A writer adds to the first, then to the second, without a pause: whenever it is looked, they
    are the same or one apart, in this order, and go on meanwhile.
    """
    paths = [tmp_path / name for name in ("first.sqlite", "second.sqlite")]
    is_over = threading.Event()

    def write() -> int:
        with opened(paths[0]) as first, opened(paths[1]) as second:
            while not is_over.is_set():
                first.execute(_ADD)
                second.execute(_ADD)
            return counted(second)

    for path in paths:
        with opened(path):
            pass
    writing = asyncio.get_running_loop().run_in_executor(None, write)
    last = 0
    try:
        # The other way round than they are written: copied one after the other they would differ.
        for _ in range(_MOMENTS):
            with one_moment(paths[::-1]) as moment:
                first, second = (counted(moment.readers[path]) for path in paths)
                assert second <= first <= second + 1
                last = second
    finally:
        is_over.set()
    assert await writing >= last > 0


def test_a_reader_stays_in_its_moment_while_others_write(tmp_path: Path) -> None:
    """And they are not kept from it."""
    path = tmp_path / "one.sqlite"
    with opened(path) as database:
        database.execute(_ADD)
        with one_moment([path]) as moment:
            database.execute(_ADD)
            assert counted(moment.readers[path]) == 1
        assert counted(database) == 2


def test_a_writer_that_does_not_let_go_is_named(tmp_path: Path) -> None:
    """The others are not kept waiting for it either."""
    held, free = tmp_path / "held.sqlite", tmp_path / "free.sqlite"
    with opened(held) as holder, opened(free) as other:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy) as told, one_moment([free, held], lock_s=0.02):
            pass
        assert told.value.metadata["file"] == str(held)
        other.execute(_ADD)
