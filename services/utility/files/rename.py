"""One rename that never overwrites, and one that swaps: renameat2, which the standard library does
not offer.

Linux 3.15 or newer, on a file system that knows the flags (ext4, xfs, btrfs, tmpfs, overlayfs do;
NFS and FAT do not).
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

_NO_REPLACE = 1
_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = _libc.renameat2
_renameat2.argtypes = (
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
)
_renameat2.restype = ctypes.c_int


class Place(NamedTuple):
    """A name in an open folder."""

    folder: int
    name: str


def move(source: Place, target: Place) -> None:
    """Moves `source` to the free name `target`, in one step; FileExistsError if it is not free.
    Follows no link.
    """
    _rename(source, target, _NO_REPLACE)


def swap(one: Place, other: Place) -> None:
    """Gives each of two names what the other had, in one step: at no time is either missing.
    Follows no link.
    """
    _rename(one, other, _EXCHANGE)


def sync(*places: Place) -> None:
    """Returns once the disk knows which names the folders hold."""
    for folder in {place.folder for place in places}:
        os.fsync(folder)


def _rename(source: Place, target: Place, flags: int) -> None:
    failed = _renameat2(
        source.folder, os.fsencode(source.name), target.folder, os.fsencode(target.name), flags
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
