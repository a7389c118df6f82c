"""What the operating system refuses, in the words of the contract."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from services.utility.files.paths import Parts, shown
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_REASONS = {
    errno.ENOENT: (errors.ERROR_REASON_FILE_NOT_FOUND, "there is no such file"),
    errno.EEXIST: (errors.ERROR_REASON_FILE_EXISTS, "the path is taken"),
    errno.ENOTEMPTY: (errors.ERROR_REASON_FILE_EXISTS, "the path is taken"),
    errno.ENOTDIR: (errors.ERROR_REASON_NOT_A_FOLDER, "a folder is needed"),
    errno.EISDIR: (errors.ERROR_REASON_NOT_A_FILE, "a file is needed"),
    errno.ELOOP: (errors.ERROR_REASON_LINK_REFUSED, "links are not followed"),
    errno.ENXIO: (errors.ERROR_REASON_SPECIAL_FILE_REFUSED, "special files are not opened"),
    errno.EXDEV: (errors.ERROR_REASON_MOUNT_REFUSED, "mounts are not entered"),
    errno.EBUSY: (errors.ERROR_REASON_MOUNT_REFUSED, "mounts are not entered"),
    errno.EACCES: (errors.ERROR_REASON_ACCESS_DENIED, "the operating system denies access"),
    errno.EPERM: (errors.ERROR_REASON_ACCESS_DENIED, "the operating system denies access"),
    errno.EROFS: (errors.ERROR_REASON_ACCESS_DENIED, "the operating system denies access"),
    errno.ENAMETOOLONG: (errors.ERROR_REASON_BAD_PATH, "the file system takes no name so long"),
    errno.EFBIG: (errors.ERROR_REASON_TOO_LARGE, "the file system takes no file so large"),
    errno.ENOSPC: (errors.ERROR_REASON_DISK_FULL, "the disk is full"),
    errno.EDQUOT: (errors.ERROR_REASON_DISK_FULL, "the disk is full"),
}


def refused(reason: int, message: str, parts: Parts) -> CallerError:
    return CallerError(reason, message, path=shown(parts))


@contextmanager
def refusals_for(parts: Parts) -> Iterator[None]:
    """Makes an OSError that the caller can act on a refusal of `parts`; any other is a defect."""
    try:
        yield
    except OSError as error:
        known = _REASONS.get(error.errno or 0)
        if known is None:
            raise
        raise refused(*known, parts) from error
