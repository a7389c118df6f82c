"""Entries for readers: by namespace and then name, so that a look-up makes no key, and with each
listing kept until a write touches it. A write pays for the listings that it makes stale.
"""

from __future__ import annotations

from collections.abc import Mapping

from tandemkit.supervise.roll.protocol import Entry, Key

_NOBODY: Mapping[str, Entry] = {}


class CachedRoll:
    """`tandemkit.supervise.roll.protocol.Backend`."""

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, Entry]] = {}
        # By namespace; that of all stands under the empty one.
        self._listings: dict[str, tuple[Entry, ...]] = {}

    def put(self, entry: Entry) -> None:
        namespace, name = entry.key
        self._namespaces.setdefault(namespace, {})[name] = entry
        self._touch(namespace)

    def remove(self, key: Key) -> None:
        names = self._namespaces.get(key.namespace, {})
        names.pop(key.name, None)
        if not names:
            self._namespaces.pop(key.namespace, None)
        self._touch(key.namespace)

    def find(self, namespace: str, name: str) -> Entry | None:
        return self._namespaces.get(namespace, _NOBODY).get(name)

    def listed(self, namespace: str = "") -> tuple[Entry, ...]:
        found = self._listings.get(namespace)
        if found is None:
            found = self._sorted(namespace)
            # What is asked for and not there would fill the memory with nothing.
            if not namespace or namespace in self._namespaces:
                self._listings[namespace] = found
        return found

    def __len__(self) -> int:
        return sum(len(names) for names in self._namespaces.values())

    def _sorted(self, namespace: str) -> tuple[Entry, ...]:
        if not namespace:
            return tuple(one for each in sorted(self._namespaces) for one in self.listed(each))
        names = self._namespaces.get(namespace, _NOBODY)
        return tuple(names[name] for name in sorted(names))

    def _touch(self, namespace: str) -> None:
        self._listings.pop(namespace, None)
        self._listings.pop("", None)
