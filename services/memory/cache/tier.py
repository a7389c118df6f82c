"""What the tier behind the instances' memory promises; one suite, tests/contract/cache, holds both
backends to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from services.memory.cache.keeping import Kept, Place, Taken, Wanted, Write
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.storage.subjects import Mention, folded

# A namespace, and a key of it, or all where that is empty; both empty: anything may have changed.
Heard = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Which:
    """Entries of a namespace: whose keys begin so, or that are about a subject."""

    namespace: str
    prefix: str = ""
    subject: str = ""
    mentions: bool = False

    def chosen(self) -> Callable[[nouns.CacheEntry], bool]:
        """Whether an entry is one of them, its prefix aside."""
        if not self.subject:
            return lambda _entry: True
        wanted = folded(self.subject)
        mention = Mention(self.subject) if self.mentions else None

        def is_about(entry: nouns.CacheEntry) -> bool:
            if any(folded(one) == wanted for one in entry.subjects):
                return True
            if mention is None:
                return False
            # Whatever the value is, its text shows in it if it has any.
            return mention.is_in(entry.key) or mention.is_in(entry.value.decode("utf-8", "replace"))

        return is_about


class SharedTier(Protocol):
    """Entries and leases. All raise Unreachable, after which a write may have happened, and Refused
    where the server denies us.
    """

    backend: str

    @property
    def is_reachable(self) -> bool:
        """As far as is known."""

    async def take(self, wanted: Wanted) -> Taken:
        """What there is; where nothing is fresh, the lease, if it is nobody's or has this token."""

    async def put(self, write: Write) -> int:
        """Its version; ends the lease of its key. A mark that the entry has already is a repeated
        write, and changes nothing. Raises LeaseLost, VersionConflict.
        """

    async def release(self, place: Place, token: str) -> None:
        """The lease is the next one's, if it had this token."""

    async def delete(self, place: Place, expected: int | None, now_ms: int) -> bool:
        """Whether there was one; ends the lease of its key. Raises VersionConflict."""

    async def sweep(self, which: Which, now_ms: int) -> int:
        """Deletes them physically, and says how many. Leases of the prefix end before."""

    def entries(self, which: Which, now_ms: int) -> AsyncIterator[Kept]:
        """In no order; what changes meanwhile may be seen or not."""

    def bytes_of(self, namespace: str) -> int | None:
        """None where it does not know."""
