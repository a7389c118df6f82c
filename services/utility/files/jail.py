"""Names below one root, resolved so that nothing outside it can be reached: each opened relative to
the descriptor of the one before, never through a link. What was checked is the descriptor in hand,
so a folder that is swapped for a symlink meanwhile changes nothing. docs/design/files.md weighs
this against openat2 and lists what it cannot see.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from services.utility.files.paths import Parts
from services.utility.files.refusal import refusals_for, refused
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO be swapped in after the check, opening it does not wait for a writer.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Jail:
    """The root, held open. Safe to use from several threads."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._device = os.fstat(self._root).st_dev

    def close(self) -> None:
        # Never a stale number: the system gives it to the next file that is opened.
        root, self._root = self._root, -1
        os.close(root)

    @contextmanager
    def folder(self, parts: Parts) -> Iterator[int]:
        """A descriptor of the folder, for use as `dir_fd`."""
        descriptor = os.dup(self._root)
        try:
            for depth, name in enumerate(parts, start=1):
                below = self._step(descriptor, name, parts[:depth])
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def file(self, parts: Parts) -> Iterator[int]:
        """A descriptor of the regular file, for reading."""
        if not parts:
            raise refused(errors.ERROR_REASON_NOT_A_FILE, "a file is needed", parts)
        with self.folder(parts[:-1]) as folder, refusals_for(parts):
            check_plain_file(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False), parts)
            descriptor = os.open(parts[-1], _FILE_FLAGS, dir_fd=folder)
        try:
            check_plain_file(os.fstat(descriptor), parts)
            yield descriptor
        finally:
            os.close(descriptor)

    def stat(self, parts: Parts) -> os.stat_result:
        """What stands at the path; a link is described, not followed."""
        if not parts:
            return os.fstat(self._root)
        with self.folder(parts[:-1]) as folder, refusals_for(parts):
            return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)

    def find(self, parts: Parts) -> os.stat_result | None:
        """As `stat`; None if nothing stands there, though something could."""
        try:
            return self.stat(parts)
        except CallerError as error:
            if error.reason != errors.ERROR_REASON_FILE_NOT_FOUND:
                raise
        with self.folder(parts[:-1]):
            return None

    def _step(self, folder: int, name: str, parts: Parts) -> int:
        with refusals_for(parts):
            try:
                below = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
            except NotADirectoryError:
                # The kernel says the same of a symlink and of a file; we say which it is.
                check_plain(os.stat(name, dir_fd=folder, follow_symlinks=False), parts)
                raise
        if os.fstat(below).st_dev != self._device:
            os.close(below)
            raise refused(errors.ERROR_REASON_MOUNT_REFUSED, "mounts are not entered", parts)
        return below


def kind_of(status: os.stat_result) -> pb.FileKind.ValueType:
    if stat.S_ISDIR(status.st_mode):
        return pb.FILE_KIND_FOLDER
    # With a second name, which may lie outside the root, the file is not ours alone.
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return pb.FILE_KIND_FILE
    return pb.FILE_KIND_REFUSED


def check_plain(status: os.stat_result, parts: Parts) -> None:
    """Refuses all that is neither a folder nor a regular file with one name."""
    if kind_of(status) != pb.FILE_KIND_REFUSED:
        return
    if stat.S_ISLNK(status.st_mode) or stat.S_ISREG(status.st_mode):
        raise refused(errors.ERROR_REASON_LINK_REFUSED, "links are not followed", parts)
    raise refused(errors.ERROR_REASON_SPECIAL_FILE_REFUSED, "special files are not opened", parts)


def check_plain_file(status: os.stat_result, parts: Parts) -> None:
    check_plain(status, parts)
    if stat.S_ISDIR(status.st_mode):
        raise refused(errors.ERROR_REASON_NOT_A_FILE, "a file is needed", parts)


def etag_of(status: os.stat_result) -> str:
    """Changes with the content: our writes make a new inode, others at least a new time or size.
    Survives a rename.
    """
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def check_etag(status: os.stat_result, etag: str, parts: Parts) -> None:
    """Refuses another version than the caller means; an empty `etag` means any."""
    if etag and etag != etag_of(status):
        raise refused(errors.ERROR_REASON_ETAG_MISMATCH, "the file has another version", parts)


def described(parts: Parts, status: os.stat_result) -> pb.File:
    kind = kind_of(status)
    file = pb.File(
        path="/".join(parts),
        kind=kind,
        size_bytes=status.st_size if kind == pb.FILE_KIND_FILE else 0,
        etag=etag_of(status),
    )
    file.modify_time.FromNanoseconds(status.st_mtime_ns)
    return file
