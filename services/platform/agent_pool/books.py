"""What is allocated, in memory and on disk. What was answered is on disk."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.platform.v1 import allocation_pb2 as nouns
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change

_PREFIX = "allocations/"
PLACING, ACTIVE = nouns.ALLOCATION_STATE_PLACING, nouns.ALLOCATION_STATE_ACTIVE
SUSPENDED = nouns.ALLOCATION_STATE_SUSPENDED
_WITH_SLOT = frozenset({PLACING, ACTIVE})


class Books:
    """By name. A message that is in the books is changed by `write` alone."""

    def __init__(self, state: State) -> None:
        self.by_name: dict[str, nouns.Allocation] = {}
        self._state = state

    async def restore(self) -> None:
        """What an earlier life of this agent allocated."""
        async for _, one in self._state.all(_PREFIX, nouns.Allocation):
            self.by_name[one.name] = one

    async def write(self, *changed: nouns.Allocation) -> None:
        """All of them or none."""
        changes = [Change(_PREFIX + one.name, one.SerializeToString()) for one in changed]
        await self._state.store.write(changes)
        self.by_name |= {one.name: one for one in changed}

    async def forget(self, name: str) -> None:
        await self._state.delete(_PREFIX + name)
        self.by_name.pop(name, None)

    def blame(self, name: str, cause: str) -> None:
        """Says why it cannot be called. Not on disk: another life of this agent finds out."""
        if name in self.by_name:
            self.by_name[name].cause = cause

    def copy(self, name: str) -> nouns.Allocation:
        """To be changed, and written. Raises KeyError where there is none."""
        found = nouns.Allocation()
        found.CopyFrom(self.by_name[name])
        return found

    def on(self, host: str) -> Iterator[nouns.Allocation]:
        """Those that have a slot there."""
        return (one for one in self.with_slot() if one.host == host)

    def with_slot(self) -> Iterator[nouns.Allocation]:
        return (one for one in self.by_name.values() if one.state in _WITH_SLOT)

    def used(self, host: str) -> int:
        """How many slots of it are taken."""
        return sum(1 for _ in self.on(host))
