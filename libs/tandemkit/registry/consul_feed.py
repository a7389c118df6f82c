"""One view of the registrations for all watchers of this process, kept up by one blocking query."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping

from tandemkit.registry.protocol import Changed, Entry, Event, Removed, Snapshot


class Feed:
    """What is registered, and the last changes to it. A watcher keeps a place in them, not a queue
    of its own; one whose place is gone gets a Snapshot.

    Consul tells states and not changes: of several changes to one key between two answers a
    watcher sees the last. The changes of one answer come in the order of their revisions; removals
    carry the answer's own, which is the latest of them.
    """

    def __init__(self, changes_kept: int) -> None:
        self.revision = 0
        self._entries: dict[str, Entry] = {}
        self._changes: deque[Changed | Removed] = deque(maxlen=changes_kept)
        self._count = 0
        # Changes after this revision are all kept.
        self._floor = 0
        # Counts the beginnings anew; nothing is known in the first.
        self._life = 0
        self._failure: Exception | None = None
        self._closed = False
        self._moved = asyncio.Event()

    def take(self, revision: int, found: Mapping[str, tuple[Entry, int]]) -> None:
        """The state at `revision`; an older one than is known changes nothing."""
        self._failure = None
        if self._life == 0:
            self.restart(revision, found)
        elif revision > self.revision:
            self._learn(revision, found)
        self._wake()

    def restart(self, revision: int, found: Mapping[str, tuple[Entry, int]]) -> None:
        """The same where what was known is no ground to build on: all watchers get a Snapshot."""
        self._failure = None
        self._life += 1
        self._entries = {key: entry for key, (entry, _) in found.items()}
        self._changes.clear()
        self.revision = self._floor = revision
        self._wake()

    def fail(self, failure: Exception) -> None:
        """Ends every watch with `failure`, and every new one until something is known again."""
        self._failure = failure
        self._wake()

    def close(self) -> None:
        """Ends every watch."""
        self._closed = True
        self._wake()

    async def watch(self, since: int | None) -> AsyncGenerator[Event, None]:
        life, place = self._resume(since)
        while not self._closed:
            moved = self._moved
            behind = self._count - place
            if self._failure is not None:
                raise self._failure
            if self._life == 0 or (life == self._life and behind == 0):
                await moved.wait()
            elif life == self._life and behind <= len(self._changes):
                place += 1
                yield self._changes[len(self._changes) - behind]
            else:
                life, place = self._life, self._count
                yield Snapshot(tuple(self._entries.values()), self.revision)

    def _learn(self, revision: int, found: Mapping[str, tuple[Entry, int]]) -> None:
        changed = [
            Changed(entry, version)
            for key, (entry, version) in found.items()
            if self._entries.get(key) != entry
        ]
        changed.sort(key=lambda one: one.revision)
        gone = [Removed(key, revision) for key in self._entries if key not in found]
        changes: list[Changed | Removed] = [*changed, *gone]
        for change in changes:
            if len(self._changes) == self._changes.maxlen:
                self._floor = self._changes[0].revision
            self._changes.append(change)
            self._count += 1
        self._entries = {key: entry for key, (entry, _) in found.items()}
        self.revision = revision

    def _resume(self, since: int | None) -> tuple[int, int]:
        """The life and the place of a watcher that knows everything up to `since`."""
        if since is None or not self._floor <= since <= self.revision or self._life == 0:
            return -1, 0
        later = sum(1 for one in self._changes if one.revision > since)
        same = sum(1 for one in self._changes if one.revision == since)
        # Of several changes with one revision it may have had only the first.
        if same > 1 or (same and since == self._floor):
            return -1, 0
        return self._life, self._count - later

    def _wake(self) -> None:
        """Each move has an event of its own, so that no watcher can miss one."""
        self._moved.set()
        self._moved = asyncio.Event()
