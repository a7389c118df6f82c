"""New content on its way in: counted while it arrives, on disk before anybody sees it."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress

from services.utility.files.jail import Jail
from services.utility.files.paths import Parts
from services.utility.files.refusal import refusals_for
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# Deeper than any path; repeated moves of folders into folders lead there, at a price.
_COUNTED_DEPTH_MAX = 256


class Quota:
    """Bytes of files below the root, the trash included; those of others from each recount on."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._used_bytes = 0
        self._lock = threading.Lock()

    def recount(self, used_bytes: int) -> None:
        with self._lock:
            self._used_bytes = used_bytes

    def reserve(self, size_bytes: int) -> None:
        with self._lock:
            if self._used_bytes + size_bytes > self._bytes_max:
                raise CallerError(
                    errors.ERROR_REASON_QUOTA_EXCEEDED,
                    "the root is full; purging the trash makes room",
                    quota_bytes_max=self._bytes_max,
                )
            self._used_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        with self._lock:
            self._used_bytes = max(0, self._used_bytes - size_bytes)


class StagedFile:
    """A file in its slot that takes content."""

    def __init__(self, descriptor: int, quota: Quota, bytes_max: int) -> None:
        self._descriptor, self._quota, self._bytes_max = descriptor, quota, bytes_max
        self._size_bytes = 0

    def write(self, content: bytes) -> None:
        """Appends, or refuses what would pass a limit before a byte of it is on disk."""
        if self._size_bytes + len(content) > self._bytes_max:
            raise CallerError(
                errors.ERROR_REASON_TOO_LARGE,
                "the file is larger than the limit",
                bytes_max=self._bytes_max,
            )
        self._quota.reserve(len(content))
        self._size_bytes += len(content)
        with refusals_for(()):
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def finish(self) -> os.stat_result:
        """Returns once the content is on disk."""
        with refusals_for(()):
            os.fsync(self._descriptor)
            return os.fstat(self._descriptor)

    def adopt_mode(self, replaced: os.stat_result) -> None:
        """Takes the permissions of the file that it will replace."""
        with refusals_for(()):
            os.fchmod(self._descriptor, stat.S_IMODE(replaced.st_mode) & 0o777)

    def close(self) -> None:
        os.close(self._descriptor)


def counted_bytes(jail: Jail) -> int:
    """Bytes of all regular files below the root, also of those that no caller can name. Enters
    neither link nor mount.
    """
    total_bytes = 0
    pending: list[Parts] = [()]
    while pending:
        parts = pending.pop()
        # A folder that is gone, swapped or closed to us by now holds nothing that counts.
        with suppress(CallerError), jail.folder(parts) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if len(parts) < _COUNTED_DEPTH_MAX:
                        pending.append((*parts, entry.name))
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        total_bytes += entry.stat(follow_symlinks=False).st_size
    return total_bytes
