"""How an operation touches the disk: one rename between a path and the operation's slot, forwards
or back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from services.utility.files import rename
from services.utility.files.jail import Jail, etag_of
from services.utility.files.journal import Entry
from services.utility.files.paths import Parts
from services.utility.files.refusal import refusals_for
from services.utility.files.trash import Trash
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError


class Relocation:
    def __init__(self, jail: Jail, trash: Trash) -> None:
        self._jail, self._trash = jail, trash

    def apply(self, entry: Entry) -> None:
        with self._ends(entry) as (departure, arrival):
            if entry.swap:
                rename.swap(departure, arrival)
            else:
                rename.move(departure, arrival)
            rename.sync(departure, arrival)

    def revert(self, entry: Entry) -> None:
        with self._ends(entry) as (departure, arrival):
            if entry.swap:
                rename.swap(departure, arrival)
            else:
                rename.move(arrival, departure)
            rename.sync(departure, arrival)

    def is_applied(self, entry: Entry) -> bool:
        """Whether the rename stands made. Asks the slot where it can: nobody else writes there."""
        held = self._trash.inode(entry.id)
        if entry.arrival is None:
            return held is not None
        if entry.departure is None:
            return held != entry.inode
        try:
            return self._jail.stat(_parts(entry.arrival)).st_ino == entry.inode
        except CallerError:
            return False

    def check_revertible(self, entry: Entry) -> None:
        """Undoing must not sweep away what somebody did since."""
        if entry.arrival is None:
            return
        try:
            status = self._jail.stat(_parts(entry.arrival))
        except CallerError as error:
            raise cannot_undo("changed_since") from error
        # A folder's version changes with the names in it, and they may stay or go along.
        is_same = stat.S_ISDIR(status.st_mode) or etag_of(status) == entry.etag
        if status.st_ino != entry.inode or not is_same:
            raise cannot_undo("changed_since")
        if entry.kind == pb.FILE_OPERATION_KIND_MAKE_FOLDER:
            self._check_only_folders(_parts(entry.arrival), _parts(entry.path))

    def _check_only_folders(self, top: Parts, made: Parts) -> None:
        for depth in range(len(top), len(made) + 1):
            with self._jail.folder(made[:depth]) as folder:
                if os.listdir(folder) != list(made[depth : depth + 1]):
                    raise cannot_undo("folder_not_empty")

    @contextmanager
    def _ends(self, entry: Entry) -> Iterator[tuple[rename.Place, rename.Place]]:
        with (
            self._place(entry.departure, entry.id) as departure,
            self._place(entry.arrival, entry.id) as arrival,
            refusals_for(_parts(entry.path)),
        ):
            yield departure, arrival

    @contextmanager
    def _place(self, path: str | None, operation_id: str) -> Iterator[rename.Place]:
        if path is None:
            yield self._trash.slot(operation_id)
            return
        parts = _parts(path)
        with self._jail.folder(parts[:-1]) as folder:
            yield rename.Place(folder, parts[-1])


def cannot_undo(rule: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_CANNOT_UNDO, "the operation cannot be undone", rule=rule)


def _parts(path: str) -> Parts:
    """Of a path that the journal kept: it was parsed when it came in."""
    return tuple(path.split("/"))
