"""The one way to the names of what runs in this process and beside it: who registers, who looks up,
who watches. Entries go with their owners.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.supervise.alarm import Turns
from tandemkit.supervise.roll.cached import CachedRoll
from tandemkit.supervise.roll.hybrid import HybridRoll, Migration
from tandemkit.supervise.roll.owners import Watched, owner_of
from tandemkit.supervise.roll.plain import PlainRoll
from tandemkit.supervise.roll.protocol import Backend, Entry, Key, check_key

HISTORY_MAX = 1024


class Kind(Enum):
    PLAIN = "plain"
    CACHED = "cached"


_BACKENDS: dict[Kind, Callable[[], Backend]] = {Kind.PLAIN: PlainRoll, Kind.CACHED: CachedRoll}


class NameTaken(Failure):
    """Somebody else who still runs has the name."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries, in place of what the watcher knew."""

    entries: tuple[Entry, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Changed:
    entry: Entry
    revision: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Nobody has the name any more: its owner gave it up, or is over."""

    key: Key
    revision: int


Event = Snapshot | Changed | Removed


class ProcessRegistry:
    """Belongs to one loop. ValueError means that a name is none."""

    def __init__(self, clock: Clock, kind: Kind = Kind.PLAIN) -> None:
        self.kind = kind
        self._clock = clock
        self._backend = _BACKENDS[kind]()
        self._watched = Watched()
        self._migration: Migration | None = None
        self._history: deque[Changed | Removed] = deque(maxlen=HISTORY_MAX)
        self._revision = 0
        self._turns = Turns()

    def register_task(
        self, key: Key, task: asyncio.Task[Any], value: object = None, address: str = ""
    ) -> Entry:
        """Until the task is over. Raises NameTaken."""
        entry = self._put(Entry(key, owner_of(task), self._clock.now(), address, value))
        task.add_done_callback(lambda _task: self._gone(entry))
        return entry

    def register_process(self, key: Key, pid: int, address: str = "") -> Entry:
        """Until the process of this machine that has the number now is over. Raises NameTaken,
        NoSuchProcess, TooMany.
        """
        check_key(key)
        owner = self._watched.process(pid)
        return self._of_process(Entry(key, owner, self._clock.now(), address))

    def restore(self, entry: Entry) -> Entry:
        """What an earlier life of this process noted. Raises NoSuchProcess where the owner is over,
        and what registering raises.
        """
        check_key(entry.key)
        self._watched.again(entry.owner)
        return self._of_process(entry)

    def deregister(self, key: Key) -> bool:
        """Whether anybody had the name."""
        entry = self._backend.find(*key)
        if entry is None:
            return False
        self._watched.forget(entry.owner, key)
        self._remove(key)
        return True

    def find(self, namespace: str, name: str) -> Entry | None:
        """Who runs under the name now."""
        return self._backend.find(namespace, name)

    def listed(self, namespace: str = "") -> tuple[Entry, ...]:
        """Those of one namespace, or all, in the order of their keys."""
        return self._backend.listed(namespace)

    def __len__(self) -> int:
        return len(self._backend)

    def use(self, kind: Kind, migration: Migration | None = None) -> None:
        """Goes over to a backend while everything runs. With a `migration` the one of before is
        still read, and both are written; once that is over, `check` says so.
        """
        old = self._backend.old if isinstance(self._backend, HybridRoll) else self._backend
        new = _BACKENDS[kind]()
        for entry in old.listed():
            new.put(entry)
        self._backend = new if migration is None else HybridRoll(old, new)
        self.kind, self._migration = kind, migration

    async def check(self) -> None:
        """Raises MigrationOver."""
        if self._migration is not None:
            self._migration.check(self._clock.now())

    @property
    def disagreements(self) -> int:
        """Answers of a migration in which the new backend would have said something else."""
        return self._backend.disagreements if isinstance(self._backend, HybridRoll) else 0

    async def watch(self, namespace: str = "") -> AsyncGenerator[Event, None]:
        """A Snapshot, and then every change in order; a Snapshot again for a watcher that fell
        behind.
        """
        position = -1
        while True:
            behind = self._revision - position
            if position < 0 or behind > len(self._history):
                position = self._revision
                yield Snapshot(self.listed(namespace), position)
            elif behind:
                event = self._history[-behind]
                position = event.revision
                key = event.entry.key if isinstance(event, Changed) else event.key
                if namespace in {"", key.namespace}:
                    yield event
            else:
                await self._turns.next()

    def close(self) -> None:
        """Watches nobody any more."""
        self._watched.close()

    def _of_process(self, entry: Entry) -> Entry:
        try:
            put = self._put(entry)
            self._watched.when_over(entry.owner, entry.key, lambda: self._gone(put))
        finally:
            self._watched.sweep()
        return put

    def _put(self, entry: Entry) -> Entry:
        check_key(entry.key)
        found = self._backend.find(*entry.key)
        if found is not None and found.owner != entry.owner:
            said = {"namespace": entry.key.namespace, "name": entry.key.name}
            raise NameTaken("somebody who runs has the name", **said, pid=found.owner.pid)
        if found is not None:
            entry = replace(entry, since=found.since)
        if found != entry or found.value is not entry.value:
            self._backend.put(entry)
            self._tell(Changed(entry, self._revision + 1))
        return entry

    def _gone(self, entry: Entry) -> None:
        """Its owner is over; somebody else may have the name by now."""
        found = self._backend.find(*entry.key)
        if found is not None and found.owner == entry.owner:
            self._remove(entry.key)

    def _remove(self, key: Key) -> None:
        self._backend.remove(key)
        self._tell(Removed(key, self._revision + 1))

    def _tell(self, event: Changed | Removed) -> None:
        self._revision = event.revision
        self._history.append(event)
        self._turns.tell()
