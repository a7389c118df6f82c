"""What an archive may hold, and the paths that are never packed nor unpacked."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from services.utility.toolbox.limits import Limits, refuse_above
from services.utility.toolbox.offload import checkpoint
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

READ_BYTES: Final = 64 * 1024
PATH_BYTES_MAX: Final = 1024
COMPONENT_BYTES_MAX: Final = 255

# Small archives may expand as they like: a file of one thousand zeros is no attack.
_EXPANSION_FREE_BYTES: Final = 64 * 1024
_FORBIDDEN: Final = re.compile(r"[\\\x00-\x1f\x7f]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a directory where `content` is None. Links and devices have no form here."""

    path: str
    content: bytes | None = None
    executable: bool = False


class Paths:
    """The paths of one archive, each checked, none of them twice nor in the way of another."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._files: set[str] = set()
        self._parents: set[str] = set()

    def admit(self, path: str, *, directory: bool) -> None:
        """Takes one path, or raises ARCHIVE_ENTRY_REFUSED.

        Paths are compared as a file system would that ignores case and Unicode form, so that an
        archive unpacks to the same everywhere.
        """
        _check(path)
        folded = _folded(path)
        if folded in self._taken:
            raise refusal("two entries have the same path", path)
        parents = _parents(folded)
        if not parents.isdisjoint(self._files) or (not directory and folded in self._parents):
            raise refusal("an entry lies inside a file", path)
        self._taken.add(folded)
        self._parents |= parents
        if not directory:
            self._files.add(folded)


class Meter:
    """Counts what comes out of an archive, and stops it when it is too much for what went in."""

    def __init__(self, limits: Limits, packed_bytes: int) -> None:
        self._limits = limits
        expansion_bytes = max(_EXPANSION_FREE_BYTES, packed_bytes * limits.archive_expansion_max)
        self._content_bytes_max = min(limits.archive_content_bytes_max, expansion_bytes)
        self._content_bytes = 0
        self._entries = 0

    @property
    def left_bytes(self) -> int:
        """How much more content may come."""
        return self._content_bytes_max - self._content_bytes

    def entry(self) -> None:
        """Counts one entry."""
        checkpoint()
        self._entries += 1
        refuse_above(self._limits.archive_entries_max, self._entries, "archive", unit="entries")

    def expect(self, declared_bytes: int) -> None:
        """Refuses by what an entry claims, before any of it is unpacked."""
        refuse_above(self._content_bytes_max, self._content_bytes + declared_bytes, "archive")

    def content(self, size_bytes: int) -> None:
        """Counts content that was really unpacked."""
        checkpoint()
        self._content_bytes += size_bytes
        refuse_above(self._content_bytes_max, self._content_bytes, "archive")


def refusal(message: str, path: str) -> CallerError:
    """ARCHIVE_ENTRY_REFUSED, with the path in a form that is safe to show."""
    shown = path[:PATH_BYTES_MAX].encode("unicode_escape").decode()
    return CallerError(
        errors.ERROR_REASON_ARCHIVE_ENTRY_REFUSED, message, field="archive", path=shown
    )


def invalid(message: str) -> CallerError:
    """ARCHIVE_INVALID."""
    return CallerError(errors.ERROR_REASON_ARCHIVE_INVALID, message, field="archive")


def _check(path: str) -> None:
    try:
        components = path.encode().split(b"/")
    except UnicodeEncodeError as unsayable:
        raise refusal("the path is not UTF-8", path) from unsayable
    if len(path.encode()) > PATH_BYTES_MAX or max(map(len, components)) > COMPONENT_BYTES_MAX:
        raise refusal("the path is too long", path)
    if _FORBIDDEN.search(path) or _DRIVE.match(path):
        raise refusal("the path has a drive letter, a backslash or a control character", path)
    if any(component in (b"", b".", b"..") for component in components):
        raise refusal("the path is absolute, or has an empty, `.` or `..` component", path)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _parents(path: str) -> set[str]:
    return {path[:index] for index, character in enumerate(path) if character == "/"}
