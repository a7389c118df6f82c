"""A secret in a file of its own, read only where nobody but its owner could have changed it."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tandemkit.core.secret import Secret
from tandemkit.reach.failure import Refused

_BYTES_MAX = 64 * 1024
Identity = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SecretFile:
    """What a file held when it was read, and since when it does."""

    secret: Secret
    since: datetime


def identity(path: Path) -> Identity:
    """Changes whenever the file does; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def read(path: Path) -> SecretFile | None:
    """None where there is no file, or nothing in it. A last line break is none of the secret.
    Raises Refused where the file cannot be trusted.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror or "unreadable"
        raise Refused("a secret's file cannot be read", file=path, why=why) from error
    try:
        found = os.fstat(number)
        _check(path, found, is_read_only=bool(os.fstatvfs(number).f_flag & os.ST_RDONLY))
        content = os.read(number, _BYTES_MAX + 1)
    finally:
        os.close(number)
    if len(content) > _BYTES_MAX:
        raise Refused("a secret's file is too long", file=path, bytes_max=_BYTES_MAX)
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise Refused("a secret's file holds no UTF-8", file=path) from error
    if not text:
        return None
    return SecretFile(Secret(text), datetime.fromtimestamp(found.st_mtime, UTC))


def unfit(value: str) -> str:
    """Why `read` would not give it back; empty where it would."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "it is no UTF-8"
    return f"it is longer than {_BYTES_MAX} bytes" if size > _BYTES_MAX else ""


def write(path: Path, value: str) -> None:
    """Whole or not at all, for its owner alone, whoever else writes it. The folder is there."""
    number, new = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(value.encode())
            file.flush()
            os.fsync(number)
        Path(new).replace(path)
    except BaseException:
        # Half of a secret is one too.
        Path(new).unlink(missing_ok=True)
        raise


def _check(path: Path, found: os.stat_result, *, is_read_only: bool) -> None:
    """Others may not read it, but on a read-only mount: so containers are given theirs."""
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise Refused("a secret is to be in a file", file=path)
    if found.st_uid not in {os.geteuid(), 0}:
        message = "a secret's file belongs to another user, who knows it: make one of your own"
        raise Refused(message, file=path, owner=found.st_uid)
    if mode & 0o022 or (mode & 0o004 and not is_read_only):
        message = "others may read or change a secret's file: chmod 600 it"
        raise Refused(message, file=path, mode=f"{mode:o}")
