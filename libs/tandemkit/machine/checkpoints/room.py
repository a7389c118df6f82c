"""A disk that is too full is told before anything is changed, and as what it is."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tandemkit.core.errors import Failure
from tandemkit.machine.home import Home

# For manifest and folders.
_SPARE_BYTES = 4 * 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoom(Failure):
    """The disk is too full; nothing was made."""


def check_room(home: Home, needed: int) -> None:
    """Raises NoRoom where the disk of the home has no room for so many bytes, and some."""
    free = shutil.disk_usage(home.folder).free
    if needed + _SPARE_BYTES > free:
        raise NoRoom("the disk has no room for it", needs=needed + _SPARE_BYTES, free=free)


@contextmanager
def room(home: Home) -> Iterator[None]:
    """Raises NoRoom for what fails inside of the block because the disk is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise _full(home) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full(home) from error


def _full(home: Home) -> NoRoom:
    free = os.statvfs(home.folder)
    return NoRoom("the disk is full", home=home.folder, free=free.f_bavail * free.f_frsize)
