"""The trash: one slot per operation, in a folder of the root that no caller can name.

New content is staged in its slot, so that publishing it is one rename; what a change removes ends
in the same slot.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress

from services.utility.files.paths import TRASH_NAME, Parts
from services.utility.files.refusal import refusals_for
from services.utility.files.rename import Place, swap, sync
from services.utility.files.staging import Quota
from tandemkit.core.errors import Bug

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# No request id starts with a hyphen.
_PROBES = ("-probe-1", "-probe-2")


class Trash:
    def __init__(self, folder: int, quota: Quota) -> None:
        self._folder, self._quota = folder, quota

    @classmethod
    def open(cls, root: str | os.PathLike[str], quota: Quota) -> Trash:
        """The trash of `root`, made if it is not there. One at a time: two would fight."""
        parent = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileExistsError):
                os.mkdir(TRASH_NAME, 0o700, dir_fd=parent)
                os.fsync(parent)
            folder = os.open(TRASH_NAME, _FOLDER_FLAGS, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_swap(folder)
        except BlockingIOError as error:
            os.close(folder)
            raise Bug("another instance owns the root", root=root) from error
        except BaseException:
            os.close(folder)
            raise
        return cls(folder, quota)

    def close(self) -> None:
        folder, self._folder = self._folder, -1
        os.close(folder)

    def slot(self, operation_id: str) -> Place:
        return Place(self._folder, operation_id)

    def inode(self, operation_id: str) -> int | None:
        """Which file or folder the slot holds; None for an empty one."""
        try:
            return os.stat(operation_id, dir_fd=self._folder, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return None

    def create_file(self, operation_id: str) -> int:
        """A descriptor of a new file in the slot, for writing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with refusals_for(()):
            return os.open(operation_id, flags, 0o666, dir_fd=self._folder)

    def create_folders(self, operation_id: str, below: Parts) -> int:
        """A new folder in the slot, holding `below` as a chain of folders; its inode."""
        with refusals_for(below):
            os.mkdir(operation_id, dir_fd=self._folder)
            inner = operation_id
            for name in below:
                inner = f"{inner}/{name}"
                os.mkdir(inner, dir_fd=self._folder)
            return os.stat(operation_id, dir_fd=self._folder).st_ino

    def remove(self, operation_id: str) -> int:
        """Destroys what the slot holds, however deep; the bytes that this freed. Enters no mount.

        Folders are lifted to the top of the trash before they are emptied: neither the stack nor
        the descriptors grow with the depth. What a crash leaves of that, the next call takes along.
        """
        prefix = f"{operation_id}."
        pending = [name for name in os.listdir(self._folder) if name.startswith(prefix)]
        if self.inode(operation_id) is not None:
            pending.append(operation_id)
        lifted_count = len(pending)
        freed_bytes = 0
        with refusals_for((operation_id,)):
            while pending:
                name = pending.pop()
                freed, folders = self._empty(name, prefix, lifted_count)
                freed_bytes += freed
                lifted_count += len(folders)
                pending += folders
            sync(self.slot(operation_id))
        self._quota.release(freed_bytes)
        return freed_bytes

    def _empty(self, name: str, prefix: str, lifted_count: int) -> tuple[int, list[str]]:
        """Removes one name; the bytes freed, and the folders that it held, now beside it."""
        status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=self._folder)
            return _freed_bytes(status), []
        folder = os.open(name, _FOLDER_FLAGS, dir_fd=self._folder)
        freed_bytes, lifted = 0, list[str]()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        free_name = f"{prefix}{lifted_count + len(lifted)}"
                        os.rename(entry.name, free_name, src_dir_fd=folder, dst_dir_fd=self._folder)
                        lifted.append(free_name)
                    else:
                        freed_bytes += _freed_bytes(entry.stat(follow_symlinks=False))
                        os.unlink(entry.name, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=self._folder)
        return freed_bytes, lifted


def _freed_bytes(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _check_swap(folder: int) -> None:
    """Raises on a file system where changes could not be undone in one step."""
    for name in _PROBES:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    try:
        swap(*(Place(folder, name) for name in _PROBES))
    except OSError as error:
        raise Bug("the file system of the root cannot swap two names") from error
    finally:
        for name in _PROBES:
            os.rmdir(name, dir_fd=folder)
