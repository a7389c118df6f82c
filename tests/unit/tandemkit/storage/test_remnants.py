"""What is deleted from a file of SQLite, as who reads the bytes sees it. The search is the one that
tests of whole fleets trust, so it is shown here that it finds.
"""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tandemkit.storage.sqlite_file import Connection
from tests.cluster.remnants import Remnants

WORD = "Zwölfuhrblatt9731"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content = 'kept', content_rowid = 'id');
"""


def _plant(database: sqlite3.Connection) -> None:
    """Long and short ones, so that pages of their own and parts of pages are freed."""
    for number in range(200):
        text = f"{number} {WORD} {'x' * (number % 7) * 900}"
        database.execute("INSERT INTO kept VALUES (?, ?)", (number, text))
        database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, text))


def _delete(database: sqlite3.Connection) -> None:
    rows = database.execute("SELECT id, text FROM kept WHERE text LIKE '%blatt%'").fetchall()
    for number, text in rows:
        said = ("delete", number, text)
        database.execute("INSERT INTO words (words, rowid, text) VALUES (?, ?, ?)", said)
        database.execute("DELETE FROM kept WHERE id = ?", (number,))
    database.execute("INSERT INTO words (words) VALUES ('optimize')")


async def test_what_is_deleted_by_the_kit_is_in_no_byte_of_the_file(tmp_path: Path) -> None:
    """Neither in a freed page, nor in the full-text index, nor in the write-ahead log."""
    search = Remnants(WORD)
    connection = Connection(tmp_path / "kept.sqlite", _SCHEMA)
    try:
        await connection.do(_plant)
        assert search.below(tmp_path)
        await connection.do(_delete)
        await connection.scrub()
        assert search.below(tmp_path) == set()
    finally:
        connection.close()


def test_the_same_search_finds_what_is_deleted_without_overwriting(tmp_path: Path) -> None:
    """The control: all is as above, but for `secure_delete`."""
    with closing(sqlite3.connect(tmp_path / "kept.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA secure_delete = OFF")
        database.executescript(_SCHEMA)
        for work in (_plant, _delete):
            database.execute("BEGIN")
            work(database)
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert Remnants(WORD).below(tmp_path) == {"kept.sqlite"}


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode(),
        lambda text: text.upper().encode("utf-16-le"),
        lambda text: json.dumps(text).encode(),
        lambda text: base64.b64encode(b"?" + text.encode() + b"??"),
        lambda text: base64.b64encode(b"??" + text.encode() + b"?"),
        lambda text: base64.b64encode(text.encode() + b"!!!"),
        lambda text: b"noise" + zlib.compress(text.encode()) + b"noise",
        lambda text: gzip.compress(text.encode()),
        lambda text: text.encode().hex().encode(),
    ],
)
def test_it_finds_the_word_in_every_form_in_which_we_write(
    written: Callable[[str], bytes],
) -> None:
    """And nothing where there is none."""
    search = Remnants(WORD)
    assert search.are_in(b"before " + written(f"so {WORD} said") + b" behind")
    assert not search.are_in(b"before " + written("so nobody said it, and more") + b"\x78\x9c")
