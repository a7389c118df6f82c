"""Whether a checkpoint, or a home, is what it should be; what is not is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.machine.checkpoints.belongings import belongings
from tandemkit.machine.checkpoints.databases import Reads, at_rest, faults, owner_of
from tandemkit.machine.checkpoints.journals import lost
from tandemkit.machine.checkpoints.moment import connected
from tandemkit.machine.checkpoints.shelf import Kept
from tandemkit.machine.checkpoints.sums import Sums, opened, sums_of
from tandemkit.machine.home import Home
from tandemkit.storage.events.protocol import Head

Tell = Callable[[str], None]
_SAID_MAX = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, and what is wrong there."""

    file: str
    what: str


@dataclass(frozen=True, slots=True)
class Checker:
    """`reads` knows the contracts; `tell` hears which file is looked at."""

    reads: Reads
    tell: Tell

    def checkpoint(self, kept: Kept) -> Iterator[Fault]:
        """What differs from the manifest, and what is wrong in what does not."""
        noted = _head(kept.manifest)
        for said in kept.manifest.files:
            self.tell(said.path)
            path = kept.files / said.path
            changed = list(_changes(said, path))
            if said.kind == pb.CHECKPOINT_FILE_KIND_DATABASE:
                inner = list(self._at_rest(said, path, noted))
                changed += [Fault(said.path, what) for what in inner]
            yield from changed
        yield from _strangers(kept)

    def home(self, home: Home) -> Iterator[Fault]:
        """Of a fleet that runs too: each database as of a moment of its own. What has no sum, such
        as a value that is well-formed and still not the one that was written, is not found.
        """
        for one in belongings(home).held:
            self.tell(one.path)
            path = home.folder / one.path
            if one.is_database:
                for what in self._living(path):
                    yield Fault(one.path, what)
            elif not one.is_folder and not one.is_link:
                yield from _unreadable(one.path, path)

    def _at_rest(self, said: pb.CheckpointFile, path: Path, noted: Head | None) -> Iterator[str]:
        if said.compressed or not path.is_file():
            # Its sums say all; to look inside it would have to be laid out.
            return
        try:
            with at_rest(path) as database:
                found = list(faults(database, self.reads, noted))
        except sqlite3.Error as error:
            found = [f"cannot be opened: {error}"]
        yield from found[:_SAID_MAX]

    def _living(self, path: Path) -> Iterator[str]:
        if what := lost(path):
            yield what
        try:
            with connected(path) as database:
                database.execute("BEGIN")
                found = list(faults(database, self.reads, None))
        except sqlite3.Error as error:
            found = [f"cannot be opened: {error}"]
        yield from found[:_SAID_MAX]


def _changes(said: pb.CheckpointFile, path: Path) -> Iterator[Fault]:
    if said.damage:
        yield Fault(said.path, f"was damaged as it was copied: {said.damage}")
    if said.kind == pb.CHECKPOINT_FILE_KIND_FOLDER:
        if not path.is_dir():
            yield Fault(said.path, "is missing: a folder")
    elif said.kind == pb.CHECKPOINT_FILE_KIND_LINK:
        if not path.is_symlink() or str(path.readlink()) != said.target:
            yield Fault(said.path, "is missing, or leads elsewhere: a link")
    elif not path.is_file():
        yield Fault(said.path, "is missing")
    else:
        yield from _of_content(said, path)


def _of_content(said: pb.CheckpointFile, path: Path) -> Iterator[Fault]:
    written = Sums(said.size, said.digest, said.block_bytes, said.block_sums)
    try:
        with opened(path, compressed=said.compressed) as content:
            found = sums_of(content, said.block_bytes)
    except (OSError, EOFError) as error:
        yield Fault(said.path, f"cannot be read: {error}")
        return
    if found == written:
        return
    if found.size != written.size:
        yield Fault(said.path, f"has {found.size} bytes and not {written.size}")
    for number in written.differing(found)[:_SAID_MAX]:
        first = number * said.block_bytes
        last = min(first + said.block_bytes, max(found.size, written.size)) - 1
        where = f"bytes {first} to {last}"
        if said.kind == pb.CHECKPOINT_FILE_KIND_DATABASE:
            where += f", page {number + 1}{_owner(said, path, number + 1)}"
        yield Fault(said.path, f"{where}: not what was written")


def _owner(said: pb.CheckpointFile, path: Path, page: int) -> str:
    if page == 1 or said.compressed:
        return ""
    try:
        with at_rest(path) as database:
            name = owner_of(database, page)
    except sqlite3.Error:
        return ""
    return f", of {name}" if name else ""


def _unreadable(name: str, path: Path) -> Iterator[Fault]:
    try:
        with path.open("rb") as content:
            while content.read(1 << 20):
                pass
    except FileNotFoundError:
        return
    except OSError as error:
        yield Fault(name, f"cannot be read: {error.strerror or error}")


def _strangers(kept: Kept) -> Iterator[Fault]:
    known = {one.path for one in kept.manifest.files}
    for path in sorted(kept.files.rglob("*")):
        name = str(path.relative_to(kept.files))
        is_between = path.is_dir() and any(one.startswith(f"{name}/") for one in known)
        if name not in known and not is_between:
            yield Fault(name, "is not in the manifest")


def _head(manifest: pb.Checkpoint) -> Head | None:
    if not manifest.events.position:
        return None
    return Head(manifest.events.position, manifest.events.digest)
