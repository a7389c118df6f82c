"""Entries in one dictionary: nothing to keep in step, and each listing sorts."""

from __future__ import annotations

from tandemkit.supervise.roll.protocol import Entry, Key


class PlainRoll:
    """`tandemkit.supervise.roll.protocol.Backend`."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}

    def put(self, entry: Entry) -> None:
        self._entries[entry.key] = entry

    def remove(self, key: Key) -> None:
        self._entries.pop(key, None)

    def find(self, namespace: str, name: str) -> Entry | None:
        return self._entries.get(Key(namespace, name))

    def listed(self, namespace: str = "") -> tuple[Entry, ...]:
        keys = sorted(key for key in self._entries if not namespace or key.namespace == namespace)
        return tuple(self._entries[key] for key in keys)

    def __len__(self) -> int:
        return len(self._entries)
