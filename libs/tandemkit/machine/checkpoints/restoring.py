"""Puts the files of a checkpoint into the place of a home's own, in steps that are written down:
who is killed between two of them is gone on with. docs/design/checkpoints.md says why so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.machine.checkpoints.belongings import ROOTS, belongings
from tandemkit.machine.checkpoints.copying import sync
from tandemkit.machine.checkpoints.forgotten import carry_over
from tandemkit.machine.checkpoints.room import check_room, room
from tandemkit.machine.checkpoints.shelf import Kept, sync_folder, sync_tree
from tandemkit.machine.checkpoints.sums import opened, sums_of
from tandemkit.machine.home import Home, write_at_once
from tandemkit.registry.embedded_store import leave_a_gap
from tandemkit.storage.failure import Damaged

_JOURNAL, _NEW, _OLD = "journal.binpb", "new", "old"
_PRIVATE = 0o600
_REGISTRY = "values.sqlite"
Tell = Callable[[str], None]


class Interrupted(Failure):
    """A restore of another checkpoint was begun here, and has to be gone on with first."""


class Restore:
    """The one that is under way in a home, if any. From RESTORE_STEP_SWAPPING on the home is
    neither what it was nor what it is going to be, until the journal is gone.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.folder = home.folder / "restore"

    @property
    def journal(self) -> pb.RestoreJournal | None:
        """None where none is under way. Raises Damaged."""
        place = self.folder / _JOURNAL
        said = "how far a restore has come cannot be read"
        try:
            found = pb.RestoreJournal.FromString(place.read_bytes())
        except FileNotFoundError:
            return None
        except DecodeError as error:
            raise Damaged(said, file=place) from error
        if not found.checkpoint:
            raise Damaged(said, file=place)
        return found

    @property
    def half_done(self) -> pb.RestoreJournal | None:
        """The one that the home waits for the end of."""
        journal = self.journal
        return journal if journal and journal.step >= pb.RESTORE_STEP_SWAPPING else None

    def begin(self, journal: pb.RestoreJournal) -> pb.RestoreJournal:
        """Goes on with the same one where it is half done; else from the beginning. Raises
        Interrupted.
        """
        if found := self.half_done:
            if found.checkpoint != journal.checkpoint:
                message = "a restore of another checkpoint was interrupted here"
                raise Interrupted(message, checkpoint=found.checkpoint)
            return found
        found = self.journal
        if found is not None and not journal.HasField("present") and found.HasField("present"):
            # It had ended the fleet already.
            journal.present.CopyFrom(found.present)
        self.discard()
        self.folder.mkdir(mode=0o700)
        return self.note(journal, pb.RESTORE_STEP_VERIFIED)

    def discard(self) -> None:
        """Of one that has changed nothing yet."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def note(self, journal: pb.RestoreJournal, step: pb.RestoreStep.ValueType) -> pb.RestoreJournal:
        """It is done, and stays so over a loss of power."""
        journal.step = step
        place = self.folder / _JOURNAL
        new = place.with_name(f"{_JOURNAL}.new")
        write_at_once(new, journal.SerializeToString(deterministic=True))
        # Before it has its name: a file system may keep the name first, and an empty file.
        sync(new)
        new.replace(place)
        sync_folder(self.folder)
        return journal

    def lay_out(self, kept: Kept, tell: Tell) -> None:
        """Its files beside those of the home, each compared with its sum on the way. Raises
        Damaged, NoRoom.
        """
        # What is there is kept besides.
        check_room(self._home, kept.size + belongings(self._home).size)
        new = self.folder / _NEW
        with room(self._home):
            _lay_out(kept, new, tell)

    def carry_over(self) -> None:
        """Into the new files, what no checkpoint takes back: which deletions there were."""
        new = self.folder / _NEW / self._home.state.name
        if new.exists():
            carry_over(self._home, new)

    def swap(self) -> None:
        """The new files into the place of the old ones. Done again, it goes on where it was."""
        new, old = self.folder / _NEW, self.folder / _OLD
        old.mkdir(mode=0o700, exist_ok=True)
        for root in ROOTS:
            place = self._home.folder / root
            if not (new / root).exists():
                continue
            if place.exists() and not (old / root).exists():
                self._place(place, old / root)
            self._place(new / root, place)
        for folder in (old, new, self._home.folder):
            sync_folder(folder)

    def _place(self, source: Path, target: Path) -> None:
        """Each leaves the home in a state that `swap` goes on from."""
        source.rename(target)

    def finish(self) -> None:
        """Nothing of it is left but the checkpoint of what was there before."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        sync_folder(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def _lay_out(kept: Kept, new: Path, tell: Tell) -> None:
    shutil.rmtree(new, ignore_errors=True)
    for root in ROOTS:
        (new / root).mkdir(mode=0o700, parents=True)
    folders = []
    for said in kept.manifest.files:
        if said.path.partition("/")[0] not in ROOTS:
            # Of a server, which is put back past the files.
            continue
        tell(said.path)
        target = new / said.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if said.kind == pb.CHECKPOINT_FILE_KIND_FOLDER:
            target.mkdir(mode=0o700, exist_ok=True)
            folders.append(said)
        elif said.kind == pb.CHECKPOINT_FILE_KIND_LINK:
            target.symlink_to(said.target)
        else:
            _lay(said, kept.files / said.path, target)
    for said in reversed(folders):
        (new / said.path).chmod(said.mode)
    sync_tree(new)


def _lay(said: pb.CheckpointFile, source: Path, target: Path) -> None:
    with opened(source, compressed=said.compressed) as content, target.open("wb") as copy:
        os.fchmod(copy.fileno(), _PRIVATE)
        shutil.copyfileobj(content, copy)
    look = source.stat()
    with target.open("rb") as written:
        if sums_of(written, said.block_bytes).digest != said.digest:
            raise Damaged("a file is not what the manifest says", file=said.path)
    if target.name == _REGISTRY and said.kind == pb.CHECKPOINT_FILE_KIND_DATABASE:
        leave_a_gap(target)
    target.chmod(said.mode)
    os.utime(target, ns=(look.st_atime_ns, look.st_mtime_ns))
    sync(target)
