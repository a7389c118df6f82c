"""What every registry backend promises. docs/design/registry.md says how each keeps it.

Values are bytes to a backend: whoever stores one knows its protobuf type. One conformance suite,
tests/contract/registry, holds all backends to these sentences.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol

# Keys, and the names of owners, candidates and elections: parts of these characters between single
# slashes, none of them "." or "..", so that a backend may put them into a path as they are.
NAME_LENGTH_MAX = 512
VALUE_BYTES_MAX = 256 * 1024
TTL_S_MAX = 86_400.0

_PART = r"(?!\.{1,2}(?:/|\Z))[a-zA-Z0-9._-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass(frozen=True, slots=True)
class Lease:
    """A promise to be alive. What was registered under it goes when it does."""

    id: str
    owner: str
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration: `owner` is its lease's, so a reader can tell whose it was."""

    key: str
    value: bytes
    owner: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All registrations as they were at `revision`. It replaces whatever the watcher knew."""

    entries: tuple[Entry, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Changed:
    """One registration is new or other than it was."""

    entry: Entry
    revision: int


@dataclass(frozen=True, slots=True)
class Removed:
    """One registration is gone: deregistered, or its lease ended."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Versioned:
    """A stored value. Versions of a key rise and never come back, also over a deletion."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Leadership:
    """Won by `candidate`, with a token above that of every leader of this election before it."""

    election: str
    candidate: str
    token: int
    ttl_s: float


Event = Snapshot | Changed | Removed


class LeaseLost(Exception):
    """The lease ended, or its backend forgot it: open a new one and register again."""


class LeadershipLost(Exception):
    """Somebody else leads, or may: stop writing as leader at once."""


class VersionConflict(Exception):
    """The key has another version than the writer knew."""


def check_name(name: str) -> None:
    """Raises ValueError for what is no key and no name; every backend asks before it does more."""
    if len(name) > NAME_LENGTH_MAX or _NAME.fullmatch(name) is None:
        raise ValueError("not a name of a registry")


def check_value(value: bytes) -> None:
    """Raises ValueError where it is longer than every backend can hold."""
    if len(value) > VALUE_BYTES_MAX:
        raise ValueError("value exceeds the registry's limit")


def check_ttl(ttl_s: float) -> None:
    """Raises ValueError where it is no time to live."""
    if not 0 < ttl_s <= TTL_S_MAX:
        raise ValueError("not a time to live")


class Registry(Protocol):
    """Leases, registrations, a watch, elections, and versioned values.

    Every call ends within the backend's own time limit: with an answer, or by raising Unreachable
    or Refused of `tandemkit.reach.failure`, the latter at once. A backend retries by itself only
    what is safe to do twice. ValueError means that nothing was done: a name, value or time to live
    that `check_*` refuses.
    """

    async def open_lease(self, owner: str, ttl_s: float) -> Lease:
        """A new lease. An older one of the same owner ends, with all that hangs on it."""

    async def renew(self, lease: Lease) -> None:
        """Holds it for another `ttl_s` from now. Raises LeaseLost."""

    async def close_lease(self, lease: Lease) -> None:
        """Ends it and removes its registrations. Harmless where it has ended."""

    async def register(self, lease: Lease, key: str, value: bytes) -> None:
        """Adds or replaces a registration. Raises LeaseLost.

        Of two leases the one opened later wins the key, whoever registers last: the older one's
        registration gives way, is not remembered, and its later ones of that key change nothing.
        """

    async def deregister(self, lease: Lease, key: str) -> None:
        """Removes it where it is this lease's; harmless otherwise."""

    def watch(self, since: int | None = None) -> AsyncGenerator[Event, None]:
        """A Snapshot, then every change in order, until closed.

        With `since`, the changes after that revision come without a Snapshot where the backend
        still has them; else a Snapshot comes first. A watcher that falls behind gets a Snapshot
        again, never a gap. Raises Unreachable where the backend stays away too long, and Refused.
        """

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        """Leadership if it is free or the candidate's own, with a new token; None while another
        leads.
        """

    async def keep(self, leadership: Leadership) -> None:
        """Leads for another `ttl_s` from now. Raises LeadershipLost."""

    async def resign(self, leadership: Leadership) -> None:
        """Makes room at once. Harmless where it is lost."""

    async def get(self, key: str) -> Versioned | None:
        """The value as last written; None where there is none."""

    async def values(self) -> Mapping[str, Versioned]:
        """All of them, by key; each as it was written last, and not all of one moment."""

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: int | None = None,
        leadership: Leadership | None = None,
    ) -> int:
        """Writes it and returns its new version.

        With `expected`, only over that version (0: only where there is none), else raises
        VersionConflict. With `leadership`, only while no later leader of that election was
        elected, checked in the same step as the write; else raises LeadershipLost.
        """

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        """Removes it; with `expected`, only that version, else raises VersionConflict. Harmless
        where there is none and nothing was expected.
        """

    async def aclose(self) -> None:
        """Lets go of connections and files. Leases stay until they run out."""
