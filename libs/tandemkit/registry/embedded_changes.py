"""The catalogue of the embedded registry and its latest changes: what watchers read from, each at
its own pace.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable

from tandemkit.registry.protocol import Changed, Entry, Event, Removed, Snapshot

HISTORY_COUNT_MAX = 8192
HISTORY_BYTES_MAX = 16 * 1024 * 1024


class Changes:
    """A watcher holds nothing but its revision, so a slow one costs nothing: it reads on from the
    history, or gets a Snapshot once that has moved past it.

    `reserve` makes durable that the revisions of the range that it returns may be in use.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        reserve: Callable[[], range],
        *,
        history_count_max: int = HISTORY_COUNT_MAX,
    ) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._reserve = reserve
        reserved = reserve()
        self._revision, self._reserved_until = reserved.start, reserved.stop
        self._history: deque[Changed | Removed] = deque()
        self._history_bytes = 0
        self._history_count_max = history_count_max
        self._news = asyncio.Event()

    def put(self, entry: Entry) -> None:
        """No change where it is as it was."""
        if self._entries.get(entry.key) != entry:
            self._entries[entry.key] = entry
            self._publish(Changed(entry, self._next_revision()))

    def remove(self, key: str) -> None:
        del self._entries[key]
        self._publish(Removed(key, self._next_revision()))

    async def watch(self, since: int | None) -> AsyncGenerator[Event, None]:
        """`Registry.watch`."""
        # Before every revision that was ever in use, so unknown to the history.
        position = -1 if since is None else since
        while True:
            if not self._is_remembered(position):
                position = self._revision
                yield Snapshot(tuple(self._entries.values()), position)
            elif position < self._revision:
                event = self._history[position - self._revision]
                position = event.revision
                yield event
            else:
                await self._news.wait()

    def _is_remembered(self, revision: int) -> bool:
        return self._revision - len(self._history) <= revision <= self._revision

    def _next_revision(self) -> int:
        if self._revision + 1 >= self._reserved_until:
            self._reserved_until = self._reserve().stop
        return self._revision + 1

    def _publish(self, event: Changed | Removed) -> None:
        self._revision = event.revision
        self._history.append(event)
        self._history_bytes += _size_bytes(event)
        while self._history and (
            len(self._history) > self._history_count_max or self._history_bytes > HISTORY_BYTES_MAX
        ):
            self._history_bytes -= _size_bytes(self._history.popleft())
        # Those who wait hold the old event; whoever comes from now on waits for the next change.
        self._news.set()
        self._news = asyncio.Event()


def _size_bytes(event: Changed | Removed) -> int:
    return len(event.entry.value) if isinstance(event, Changed) else 0
