"""The journal that SQLite keeps beside a database (the write-ahead log), read past SQLite: it looks
at the sums there only after a crash, and then silently forgets every commit from the first frame
on that is not what was written. The format is that of sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEADER = struct.Struct(">IIII8sII")
_FRAME = struct.Struct(">II8sII")
_MAGIC = 0x377F0682
_WORD = 0xFFFFFFFF
# Of the index beside it: how many frames count, and of which journal.
_COUNT, _SALT = slice(16, 20), slice(32, 40)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class _Head:
    """What begins a journal; a new one has other salt."""

    is_big: bool
    page_bytes: int
    salt: bytes
    sums: tuple[int, int]


def lost(database: Path) -> str:
    """What is wrong with the journal of a database, in words; empty where nothing is, or there is
    none. A last frame that was half written is nothing: nobody was told that it is there.

    Not to be asked while this process has the database open: closing the index ends all locks that
    SQLite holds on it.
    """
    for _ in range(_TRIES):
        try:
            with database.with_name(f"{database.name}-wal").open("rb") as journal:
                head = _head(journal)
                if head is None:
                    return ""
                found = _broken(journal, head, _committed(database, head))
                journal.seek(0)
                if _head(journal) == head:
                    return found
        except FileNotFoundError:
            return ""
    # Begun anew again and again: who writes it so often has written it well.
    return ""


def _head(journal: BinaryIO) -> _Head | None:
    told = journal.read(_HEADER.size)
    if len(told) < _HEADER.size:
        return None
    magic, _, page_bytes, _, salt, first, second = _HEADER.unpack(told)
    if magic & ~1 != _MAGIC:
        return None
    head = _Head(bool(magic & 1), page_bytes, salt, (first, second))
    return head if _summed((0, 0), told[:24], is_big=head.is_big) == head.sums else None


def _committed(database: Path, head: _Head) -> int:
    """How many frames are known to count; 0 where nobody knows."""
    try:
        index = database.with_name(f"{database.name}-shm").read_bytes()[: _SALT.stop]
    except FileNotFoundError:
        return 0
    is_of_it = index[_SALT] == head.salt
    return int.from_bytes(index[_COUNT], "little") if is_of_it else 0


def _broken(journal: BinaryIO, head: _Head, committed: int) -> str:
    sums, suspect, page_of_it = head.sums, 0, 0
    for number, (page, salt, written, content) in enumerate(_frames(journal, head.page_bytes), 1):
        # Other salt is of the journal before, which this one has not overwritten yet.
        if salt != head.salt or suspect:
            break
        sums = _summed(sums, content, is_big=head.is_big)
        if sums != written:
            suspect, page_of_it = number, page
    else:
        salt = b""
    # One that was followed by another was whole once; of the last one the index may say so.
    if suspect and (salt == head.salt or suspect <= committed):
        return f"journal, frame {suspect} (page {page_of_it}): not what was written"
    return ""


def _frames(
    journal: BinaryIO, page_bytes: int
) -> Iterator[tuple[int, bytes, tuple[int, int], bytes]]:
    """Page, salt, sums, and what the sums are of."""
    while len(told := journal.read(_FRAME.size + page_bytes)) == _FRAME.size + page_bytes:
        page, _, salt, first, second = _FRAME.unpack_from(told)
        yield page, salt, (first, second), told[:8] + told[_FRAME.size :]


def _summed(sums: tuple[int, int], content: bytes, *, is_big: bool) -> tuple[int, int]:
    first, second = sums
    words = iter(struct.unpack(f"{'>' if is_big else '<'}{len(content) // 4}I", content))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
