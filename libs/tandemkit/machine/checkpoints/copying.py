"""Copies of a home's files, each on disk when it is there."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.machine.checkpoints.belongings import Belonging
from tandemkit.machine.checkpoints.databases import at_rest, page_bytes, tables_of
from tandemkit.machine.checkpoints.sums import PLAIN_BLOCK_BYTES, opened, sums_of

_TRIES = 20
# Of a file that is written at random a copy would be of no moment at all; one that only grows is
# copied as far as it went.
_PRIVATE, _GZIP_LEVEL = 0o600, 1


class Unstable(Failure):
    """A file that is no database is written all the time, so no copy of it is of one moment."""


def copy_database(reader: sqlite3.Connection, target: Path) -> None:
    """As the reader's transaction sees it."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        reader.backup(copy)
    sync(target)


def copy_stable(source: Path, target: Path) -> None:
    """Of one moment: again, until nobody wrote meanwhile. Raises Unstable, FileNotFoundError."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_TRIES):
        with source.open("rb") as file, target.open("wb") as copy:
            before = os.fstat(file.fileno())
            os.fchmod(copy.fileno(), _PRIVATE)
            shutil.copyfileobj(file, copy)
            after = os.fstat(file.fileno())
            if _same(before, after) and copy.tell() == before.st_size:
                copy.flush()
                os.utime(copy.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
                os.fsync(copy.fileno())
                return
    raise Unstable("a file is written all the time", file=source)


def compressed(path: Path) -> bool:
    """Has gzip make it smaller; it stays as it is where that does not."""
    small = path.with_name(f"{path.name}.gz")
    look = path.stat()
    with path.open("rb") as file, gzip.open(small, "wb", _GZIP_LEVEL) as written:
        shutil.copyfileobj(file, written)
    if small.stat().st_size >= look.st_size:
        small.unlink()
        return False
    small.chmod(_PRIVATE)
    os.utime(small, ns=(look.st_atime_ns, look.st_mtime_ns))
    sync(small)
    small.replace(path)
    return True


def described(one: Belonging, copy: Path) -> pb.CheckpointFile:
    """Its entry in the manifest, from the copy as it lies there."""
    said = pb.CheckpointFile(path=one.path, mode=one.look.st_mode & 0o7777)
    if one.is_folder:
        said.kind = pb.CHECKPOINT_FILE_KIND_FOLDER
        return said
    if one.is_link:
        said.kind = pb.CHECKPOINT_FILE_KIND_LINK
        said.target = str(copy.readlink())
        return said
    block_bytes = PLAIN_BLOCK_BYTES
    said.kind = pb.CHECKPOINT_FILE_KIND_PLAIN
    if one.is_database:
        said.kind = pb.CHECKPOINT_FILE_KIND_DATABASE
        try:
            with at_rest(copy) as database:
                block_bytes = page_bytes(database)
                said.tables.extend(tables_of(database))
        except sqlite3.DatabaseError as error:
            said.damage = str(error)
    with opened(copy, compressed=False) as content:
        sums = sums_of(content, block_bytes)
    said.size, said.digest = sums.size, sums.digest
    said.block_bytes, said.block_sums = sums.block_bytes, sums.blocks
    return said


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
