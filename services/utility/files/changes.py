"""The changes that stage no content: folders, moves, deletions. Each checks first, then names the
one rename that does it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace

from services.utility.files.history import History
from services.utility.files.jail import Jail, check_etag, check_plain, etag_of
from services.utility.files.journal import Entry
from services.utility.files.paths import Parts, parse_path, shown
from services.utility.files.refusal import refused
from services.utility.files.trash import Trash
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError


class Changes:
    """Blocks: call it from a thread."""

    def __init__(self, jail: Jail, trash: Trash, history: History) -> None:
        self._jail, self._trash, self._history = jail, trash, history

    def make_folder(self, call: Entry) -> Entry:
        parts = parse_path(call.path)
        return self._history.once(call, lambda: self._plan_folder(call, parts))

    def move(self, call: Entry, etag: str) -> Entry:
        source, target = parse_path(call.source_path, field="source_path"), parse_path(call.path)
        if target[: len(source)] == source:
            raise CallerError(
                errors.ERROR_REASON_BAD_PATH,
                "a folder cannot move into itself",
                field="path",
                rule="into_itself",
            )
        return self._history.once(call, lambda: self._plan_move(call, source, target, etag))

    def delete(self, call: Entry, etag: str, *, recursive: bool) -> Entry:
        parts = parse_path(call.path)
        return self._history.once(
            call, lambda: self._plan_deletion(call, parts, etag, recursive=recursive)
        )

    def _plan_folder(self, call: Entry, parts: Parts) -> Entry:
        top = self._first_missing(parts)
        # The whole chain is made in the slot, so that the one rename brings all of it.
        inode = self._trash.create_folders(call.id, below=parts[len(top) :])
        return replace(call, arrival=shown(top), inode=inode)

    def _first_missing(self, parts: Parts) -> Parts:
        for depth in range(1, len(parts) + 1):
            status = self._jail.find(parts[:depth])
            if status is None:
                return parts[:depth]
            check_plain(status, parts[:depth])
            if depth < len(parts) and not stat.S_ISDIR(status.st_mode):
                raise refused(errors.ERROR_REASON_NOT_A_FOLDER, "a folder is needed", parts[:depth])
        raise refused(errors.ERROR_REASON_FILE_EXISTS, "the path is taken", parts)

    def _plan_move(self, call: Entry, source: Parts, target: Parts, etag: str) -> Entry:
        moved = self._relocated(call, source, etag)
        if self._jail.find(target) is not None:
            raise refused(errors.ERROR_REASON_FILE_EXISTS, "the path is taken", target)
        return replace(moved, departure=call.source_path, arrival=call.path)

    def _plan_deletion(self, call: Entry, parts: Parts, etag: str, *, recursive: bool) -> Entry:
        moved = self._relocated(call, parts, etag)
        if not recursive and stat.S_ISDIR(self._jail.stat(parts).st_mode):
            with self._jail.folder(parts) as folder, os.scandir(folder) as entries:
                if any(entries):
                    raise refused(
                        errors.ERROR_REASON_FOLDER_NOT_EMPTY, "the folder is not empty", parts
                    )
        return replace(moved, departure=call.path)

    def _relocated(self, call: Entry, parts: Parts, etag: str) -> Entry:
        """`call`, about what stands at `parts` now."""
        status = self._jail.stat(parts)
        check_plain(status, parts)
        check_etag(status, etag, parts)
        size_bytes = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        return replace(call, inode=status.st_ino, etag=etag_of(status), size_bytes=size_bytes)
