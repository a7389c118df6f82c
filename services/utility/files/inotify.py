"""The kernel's word that something in a folder changed: inotify, on folders that are held open.

Not the watchfiles package: it follows symlinks out of the watched tree, and drops the kernel's
overflow mark in silence.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_OVERFLOW, _IGNORED, _ONLY_FOLDER = 0x4000, 0x8000, 0x1000000
_NAMES = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_WATCHED = _NAMES | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDER
_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 65536
_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOSPC}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


class Event(NamedTuple):
    """One word of the kernel. `watch` is -1 and `overflowed` set where words were lost."""

    watch: int
    name: str
    overflowed: bool
    # The folder itself was moved or deleted.
    folder_gone: bool


class Inotify:
    """One queue of events; for one thread at a time."""

    def __init__(self) -> None:
        self._descriptor = -1

    def open(self) -> None:
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def watch(self, folder: int) -> int:
        """Watches the folder behind a descriptor, wherever it is moved; the same number if it is
        watched already.
        """
        path = f"/proc/self/fd/{folder}".encode()
        return _checked(_libc.inotify_add_watch(self._descriptor, path, _WATCHED))

    def unwatch(self, watch: int) -> None:
        # Fails only if the folder is gone, and the watch with it.
        _libc.inotify_rm_watch(self._descriptor, watch)

    def events(self) -> list[Event]:
        """What is in the queue, a buffer at most. Does not wait."""
        try:
            buffer = os.read(self._descriptor, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        events, position = [], 0
        while position < len(buffer):
            watch, mask, _, length = _HEADER.unpack_from(buffer, position)
            position += _HEADER.size
            name = os.fsdecode(buffer[position : position + length].rstrip(b"\0"))
            position += length
            if not mask & _IGNORED:
                is_gone = bool(mask & (_DELETE_SELF | _MOVE_SELF))
                events.append(Event(watch, name, bool(mask & _OVERFLOW), is_gone))
        return events


def _checked(result: int) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    error = OSError(number, os.strerror(number))
    if number not in _LIMITS:
        raise error
    raise CallerError(
        errors.ERROR_REASON_WATCH_LIMIT, "the operating system gives out no more watches"
    ) from error
