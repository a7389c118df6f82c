"""What went wrong during set-up, in one sentence that says what to do."""

import errno
import shutil
from pathlib import Path

from tandemkit.cli.steps import StepFailure

# Marks that pip, uv and the C library leave in their messages. The first match decides.
_DISK = ("No space left on device", "os error 28", "Disk quota exceeded")
_HASH = ("THESE PACKAGES DO NOT MATCH THE HASHES", "Hash mismatch", "hash mismatch")
_NETWORK = (
    "error sending request",
    "dns error",
    "Failed to fetch",
    "Failed to establish a new connection",
    "Could not fetch URL",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Name or service not known",
    "ProxyError",
    "ConnectTimeout",
    "timed out",
    "CERTIFICATE_VERIFY_FAILED",
    "No matching distribution found",
)
_DENIED = ("Permission denied", "Read-only file system", "os error 13", "os error 30")
_FULL_BYTES = 1 << 20
_CACHE_ERRNO = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)

_UNKNOWN_PACKAGE = (
    "a downloaded package does not have the hash that pins.txt demands; "
    "check which package index is configured, then run this again."
)
_NO_INDEX = (
    "the Python package index cannot be reached; check the network or "
    "PIP_INDEX_URL and the proxy settings, then run this again."
)


def is_final(failure: StepFailure) -> bool:
    """Whether another way to install would fail in the same way."""
    return _says(failure.output, (*_DISK, *_HASH))


def sentence_for(failure: StepFailure | OSError, cache: Path) -> str:
    """Names the cause where it is known, and always a next step."""
    if isinstance(failure, OSError):
        return _of_system(failure, cache)
    # A full disk also swallows the line that would have said so.
    if shutil.disk_usage(cache).free < _FULL_BYTES:
        return _full(cache)
    known = (
        (_DISK, _full(cache)),
        (_HASH, _UNKNOWN_PACKAGE),
        (_NETWORK, _NO_INDEX),
        (_DENIED, _unwritable(cache)),
        (
            (".proto:",),
            f"the contracts do not compile: {failure.reason} Mend that, then run this again.",
        ),
    )
    otherwise = f"{failure.step} failed: {failure.reason} (run this again, or report this line)."
    return next((said for marks, said in known if _says(failure.output, marks)), otherwise)


def _of_system(error: OSError, cache: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(cache)
    if error.errno in _CACHE_ERRNO:
        return _unwritable(cache)
    return f"{error.strerror or error} ({error.filename or cache}); mend that, then run this again."


def _full(cache: Path) -> str:
    return (
        f"the disk is full at {cache}; free 500 MB there, "
        "or set XDG_CACHE_HOME to a folder with room, then run this again."
    )


def _unwritable(cache: Path) -> str:
    return (
        f"cannot write to the cache {cache}; make it writable, "
        "or set XDG_CACHE_HOME to a folder that is, then run this again."
    )


def _says(output: str, marks: tuple[str, ...]) -> bool:
    return any(mark in output for mark in marks)
