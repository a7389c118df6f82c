"""One process at a time, by a file that it has locked."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandemkit.core.errors import Failure


class InUse(Failure):
    """Another process has what only one can have."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Raises InUse where another process is inside of it with the same path. The file is made if
    need be and stays: a second one would be another lock.
    """
    # The kernel lets go of the lock with the process, however that ends.
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse("another process has locked the file", file=path) from error
        yield
