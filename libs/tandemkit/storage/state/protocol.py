"""What every store of state promises. docs/design/state.md says how each backend keeps it.

Content is bytes to a store: whoever writes knows its protobuf type. One conformance suite,
tests/contract/state, holds all backends to these sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tandemkit.core.errors import Failure

KEY_LENGTH_MAX = 255
CONTENT_BYTES_MAX = 1024 * 1024
CHANGES_MAX = 100
PAGE_ENTRIES_MAX = 1000
# Behind every key: they are ASCII.
KEYS_END = "\x7f"

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")


@dataclass(frozen=True, slots=True)
class Stored:
    """A value. Versions of a store rise with every write and never come back, also over a deletion.

    Of one write all values have the same version.
    """

    content: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class Change:
    """One value that becomes `content`, or goes where that is None. With `expected` only if it has
    that version (0: only if there is none).
    """

    key: str
    content: bytes | None
    expected: int | None = None


class VersionConflict(Failure):
    """A value has another version than the writer knew; nothing was written."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        super().__init__("a value has another version", key=key, expected=expected, actual=actual)
        self.actual = actual


class StateStore(Protocol):
    """Versioned values of one owner, and writes of several at once.

    ValueError means that nothing was done: a key, a content or a count that `check_*` refuses. All
    raise Unreachable, after which reading shows whether a write happened, and Refused, after which
    it did not.
    """

    async def get(self, key: str) -> Stored | None:
        """As last written; None where there is none."""

    async def write(self, changes: Sequence[Change]) -> int:
        """All of `changes` or none, and the version that they now have. On disk before it answers,
        as far as the backend can promise that. Raises VersionConflict.
        """

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        """Those whose keys begin so and stand behind `after`, in the order of their keys."""

    async def scrub(self) -> tuple[str, ...]:
        """What was deleted or replaced so far is in no file of the store any more, but for what the
        sentences say, which is beyond a client's reach.
        """


def check_changes(changes: Sequence[Change]) -> None:
    """Raises ValueError for what no backend would take."""
    if not 0 < len(changes) <= CHANGES_MAX:
        raise ValueError("a write has from 1 to 100 changes")
    if len({change.key for change in changes}) < len(changes):
        raise ValueError("two changes of a write have one key")
    for change in changes:
        check_key(change.key)
        if change.content is not None and len(change.content) > CONTENT_BYTES_MAX:
            raise ValueError("content exceeds the limit of a store of state")
        if change.expected is not None and change.expected < 0:
            raise ValueError("not a version")


def check_key(key: str) -> None:
    """Raises ValueError for what is no key."""
    if len(key) > KEY_LENGTH_MAX or _KEY.fullmatch(key) is None:
        raise ValueError("not a key of a store of state")


def check_page(prefix: str, after: str, limit: int) -> None:
    """Raises ValueError for what is no part of a listing."""
    for text in (prefix, after):
        if text:
            check_key(text)
    if not 0 < limit <= PAGE_ENTRIES_MAX:
        raise ValueError("a page has from 1 to 1000 entries")


def conflict(change: Change, version: int) -> VersionConflict | None:
    """Whether a change may be made to a value of that version; 0 where there is none."""
    if change.expected is None or change.expected == version:
        return None
    return VersionConflict(change.key, change.expected, version)
