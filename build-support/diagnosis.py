"""What went wrong during set-up, in one sentence that says what to do."""

import errno
from pathlib import Path

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
_CACHE_ERRNO = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)


class SetupFailure(Exception):
    """A step failed; `output` is what it wrote. `final`: another way to install would not help."""

    def __init__(self, step: str, output: str, *, final: bool = False) -> None:
        super().__init__(step)
        self.step = step
        self.output = output
        self.final = final or _says(output, _DISK) or _says(output, _HASH)


def sentence_for(failure: Exception, cache: Path) -> str:
    """Names the cause where it is known, and always a next step."""
    if isinstance(failure, OSError):
        return _of_system(failure, cache)
    output = failure.output if isinstance(failure, SetupFailure) else str(failure)
    if _says(output, _DISK):
        return _full(cache)
    if _says(output, _HASH):
        return (
            "a downloaded package does not have the hash that pins.txt demands; "
            "check which package index is configured, then run this again."
        )
    if _says(output, _NETWORK):
        return (
            "the Python package index cannot be reached; check the network or "
            "PIP_INDEX_URL and the proxy settings, then run this again."
        )
    if _says(output, _DENIED):
        return _unwritable(cache)
    if ".proto:" in _last_line(output):
        return f"the contracts do not compile: {_last_line(output)} Mend that, then run this again."
    step = failure.step if isinstance(failure, SetupFailure) else "a step"
    return f"{step} failed: {_last_line(output)} (run this again, or report it with this line)."


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


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"
