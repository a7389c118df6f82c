"""The tier in the memory of the process: entries that it saw lately, within a number of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.memory.cache.keeping import Kept, Place
from services.memory.cache.policy import Policies
from services.memory.cache.room import Frequent, Order, Recent


@dataclass(frozen=True, slots=True)
class Copy:
    """An entry, and until when by the monotonic clock it is taken for what the shared tier has."""

    kept: Kept
    good_until_s: float


@dataclass(slots=True)
class Fill:
    """A copy on its way here. News of its key that come meanwhile may be younger than it."""

    is_outdated: bool = False


class Segment:
    """Copies of one namespace."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.copies: dict[str, Copy] = {}
        self.bytes = 0

    def get(self, key: str) -> Copy | None:
        found = self.copies.get(key)
        if found is not None:
            self._order.used(key)
        return found

    def put(self, key: str, copy: Copy) -> None:
        known = self.copies.get(key)
        self.bytes += copy.kept.cost - (known.kept.cost if known else 0)
        self.copies[key] = copy
        self._order.used(key)

    def drop(self, key: str) -> None:
        known = self.copies.pop(key, None)
        if known is not None:
            self.bytes -= known.kept.cost
            self._order.gone(key)

    def evict(self) -> None:
        self.drop(self._order.least())


class LocalTier:
    """`evicted` is told of each copy that goes for lack of room, by its namespace."""

    def __init__(self, policies: Policies, bytes_max: int, evicted: Callable[[str], None]) -> None:
        self._policies, self._bytes_max, self._evicted = policies, bytes_max, evicted
        self.segments: dict[str, Segment] = {}
        self._fills: dict[Place, list[Fill]] = {}
        self.bytes = 0

    def get(self, place: Place) -> Copy | None:
        segment = self.segments.get(place.namespace)
        return segment.get(place.key) if segment is not None else None

    @contextmanager
    def filling(self, place: Place) -> Iterator[Fill]:
        """For the time from when an entry is asked for until it is put here."""
        fill = Fill()
        fills = self._fills.setdefault(place, [])
        fills.append(fill)
        try:
            yield fill
        finally:
            fills.remove(fill)
            if not fills:
                self._fills.pop(place, None)

    def put(self, place: Place, copy: Copy) -> None:
        """Over what is there, unless that is younger."""
        policy = self._policies.of(place.namespace)
        room = min(policy.local_bytes_max, self._bytes_max)
        known = self.segments.get(place.namespace)
        if known is not None and (there := known.copies.get(place.key)) is not None:
            if there.kept.entry.version > copy.kept.entry.version:
                return
            if copy.kept.cost > room:
                self.drop(place)
        if copy.kept.cost > room:
            return
        segment = known or self._segment(place.namespace, by_frequency=policy.by_frequency)
        before = segment.bytes
        segment.put(place.key, copy)
        self.bytes += segment.bytes - before
        while segment.bytes > room:
            self._evict(place.namespace)
        while self.bytes > self._bytes_max:
            largest = max(self.segments, key=lambda name: self.segments[name].bytes)
            self._evict(largest)

    def drop(self, place: Place) -> None:
        """Also what is on its way here."""
        for fill in self._fills.get(place, ()):
            fill.is_outdated = True
        segment = self.segments.get(place.namespace)
        if segment is not None:
            before = segment.bytes
            segment.drop(place.key)
            self._shrunk(place.namespace, before)

    def drop_all(self, namespace: str = "") -> None:
        """Of a namespace, or of every one; also what is on its way here."""
        for place, fills in self._fills.items():
            if not namespace or place.namespace == namespace:
                for fill in fills:
                    fill.is_outdated = True
        for name in [namespace] if namespace else list(self.segments):
            gone = self.segments.pop(name, None)
            self.bytes -= gone.bytes if gone else 0

    def _segment(self, namespace: str, *, by_frequency: bool) -> Segment:
        made = Segment(Frequent() if by_frequency else Recent())
        self.segments[namespace] = made
        return made

    def _evict(self, namespace: str) -> None:
        segment = self.segments[namespace]
        before = segment.bytes
        segment.evict()
        self._evicted(namespace)
        self._shrunk(namespace, before)

    def _shrunk(self, namespace: str, before: int) -> None:
        segment = self.segments[namespace]
        self.bytes -= before - segment.bytes
        if not segment.copies:
            del self.segments[namespace]
