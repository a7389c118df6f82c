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
# Deletions that `changed` can tell of; beyond them the oldest are forgotten.
GONE_MAX = 10_000
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
class Changed:
    """What a key has since that version: a content, or None where it was deleted."""

    key: str
    content: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Part of what was written since a version, whole writes in their order. A key that was written
    several times is told as it is now, and perhaps its deletion before that.
    """

    changed: tuple[Changed, ...]
    # All up to this version is told, so it is what to ask from next.
    upto: int
    is_last: bool


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


class Forgotten(Failure):
    """Of the deletions since that version some are not known any more. Who follows begins anew with
    all entries, and goes on with what changed since the version `horizon`. Anew from 0 there may be
    no end: each later page is behind the horizon again.
    """

    def __init__(self, since: int, horizon: int) -> None:
        message = "deletions since that version are forgotten"
        super().__init__(message, since=since, horizon=horizon)
        self.horizon = horizon


class StateStore(Protocol):
    """Versioned values of one owner, and writes of several at once.

    ValueError means that nothing was done: a key, a content or a count that `check_*` refuses. All
    raise Unreachable, after which reading shows whether a write happened, and Refused, after which
    it did not.
    """

    async def get(self, key: str) -> Stored | None:
        """As last written; None where there is none."""

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Those of the keys, 1000 at most, that are there; all of one moment."""

    async def changed(self, since: int = 0, limit: int = PAGE_ENTRIES_MAX) -> Changes:
        """What was written behind that version, from the first write that is not told; from 0 all
        that is there. Nothing that was acknowledged before the call is missing at the last page.
        Raises Forgotten.
        """

    async def write(self, changes: Sequence[Change]) -> int:
        """All of `changes` or none, and the version that they now have. On disk before it answers,
        as far as the backend can promise that. Raises VersionConflict.
        """

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        """Those whose keys begin so and stand behind `after`, in the order of their keys."""

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        """What was deleted or replaced so far is in no file of the store any more, but for what the
        sentences say. `thoroughly` also has a server write its files anew, as far as it does that
        for a client: others of that server may have to wait for a moment. The keys of what was
        deleted behind the version `upto` stay known, so that who follows and has heard up to there
        does not begin anew.
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


def check_found(keys: Sequence[str]) -> None:
    """Raises ValueError for what is no set of keys to look up."""
    if len(keys) > PAGE_ENTRIES_MAX:
        raise ValueError("more than 1000 keys at once")
    for key in keys:
        check_key(key)


def check_changed(since: int, limit: int) -> None:
    """Raises ValueError. A page has room for more than one write, or it would never end."""
    if since < 0 or not CHANGES_MAX < limit <= PAGE_ENTRIES_MAX:
        raise ValueError("a page of changes has from 101 to 1000, behind a version")


def check_known(since: int, horizon: int) -> None:
    """Raises Forgotten where deletions up to the version `horizon` are not known any more."""
    if 0 < since < horizon:
        raise Forgotten(since, horizon)


def whole_writes(rows: Sequence[Changed], since: int, limit: int) -> Changes:
    """Of `limit` rows in the order of their versions those whose writes are all there."""
    if len(rows) < limit:
        return Changes(tuple(rows), rows[-1].version if rows else since, is_last=True)
    cut = rows[-1].version
    return Changes(tuple(row for row in rows if row.version < cut), cut - 1, is_last=False)


def conflict(change: Change, version: int) -> VersionConflict | None:
    """Whether a change may be made to a value of that version; 0 where there is none."""
    if change.expected is None or change.expected == version:
        return None
    return VersionConflict(change.key, change.expected, version)
