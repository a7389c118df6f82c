"""What was done for each namespace, for `GetCacheUse` and for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from services.memory.cache.local import LocalTier
from services.memory.cache.tier import SharedTier
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample

# Whoever may name namespaces must not fill our memory with them.
_NAMESPACES_MAX = 1000
_OTHERS = "(others)"
_COUNTERS = (
    ("negative_hits", "Hits that said that there is nothing."),
    ("stale_hits", "Hits that were stale."),
    ("waits", "Hits that waited until another caller had filled the key."),
    ("misses", "Lookups without an entry."),
    ("leases", "Leases given out."),
    ("leases_lost", "Leases whose holder came too late, or that a deletion ended."),
    ("puts", "Entries put."),
    ("deletions", "Entries deleted."),
)


@dataclass(slots=True)
class Tally:
    """Of one namespace."""

    local_hits: int = 0
    shared_hits: int = 0
    negative_hits: int = 0
    stale_hits: int = 0
    waits: int = 0
    misses: int = 0
    leases: int = 0
    leases_lost: int = 0
    puts: int = 0
    deletions: int = 0
    local_evictions: int = 0
    shared_evictions: int = 0

    @property
    def hit_ratio(self) -> float | None:
        """None where nobody looked."""
        hits = self.local_hits + self.shared_hits
        return hits / (hits + self.misses) if hits + self.misses else None


class Uses:
    """By namespace."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def of(self, namespace: str) -> Tally:
        found = self._tallies.get(namespace)
        if found is None:
            if len(self._tallies) >= _NAMESPACES_MAX:
                namespace = _OTHERS
            found = self._tallies.setdefault(namespace, Tally())
        return found

    def let_go(self, namespace: str) -> None:
        """The memory of the instance had no room for an entry."""
        self.of(namespace).local_evictions += 1

    def let_go_shared(self, namespace: str, count: int) -> None:
        """The same of the file."""
        self.of(namespace).shared_evictions += count

    def told(self, local: LocalTier, shared: SharedTier) -> list[nouns.CacheUse]:
        """In the order of their names."""
        return [
            self._told(name, local, shared)
            for name in sorted(self._tallies.keys() | local.segments.keys())
        ]

    def families(self, local: LocalTier, shared: SharedTier) -> Iterator[Family]:
        """For Prometheus."""
        told = self.told(local, shared)
        labelled = [(one, {"namespace": one.namespace}) for one in told]
        hits = [
            Sample(count, {**labels, "tier": tier})
            for one, labels in labelled
            for tier, count in (("local", one.local_hits), ("shared", one.shared_hits))
        ]
        yield Family("tandem_cache_hits", COUNTER, "Lookups with an entry.", hits)
        evictions = [
            Sample(count, {**labels, "tier": tier})
            for one, labels in labelled
            for tier, count in (("local", one.local_evictions), ("shared", one.shared_evictions))
        ]
        meaning = "Entries let go for lack of room."
        yield Family("tandem_cache_evictions", COUNTER, meaning, evictions)
        for name, meaning in _COUNTERS:
            samples = [Sample(getattr(one, name), labels) for one, labels in labelled]
            yield Family(f"tandem_cache_{name}", COUNTER, meaning, samples)
        ratios = [
            Sample(one.hit_ratio, labels) for one, labels in labelled if one.HasField("hit_ratio")
        ]
        yield Family(
            "tandem_cache_hit_ratio", GAUGE, "Hits of all lookups since the start.", ratios
        )
        sizes = [Sample(one.local_bytes, {**labels, "tier": "local"}) for one, labels in labelled]
        sizes += [
            Sample(one.shared_bytes, {**labels, "tier": "shared"})
            for one, labels in labelled
            if one.HasField("shared_bytes")
        ]
        yield Family("tandem_cache_bytes", GAUGE, "Bytes of entries.", sizes)
        entries = [Sample(one.local_entries, labels) for one, labels in labelled]
        meaning = "Entries in the memory of the instance."
        yield Family("tandem_cache_entries", GAUGE, meaning, entries)

    def _told(self, namespace: str, local: LocalTier, shared: SharedTier) -> nouns.CacheUse:
        tally = self.of(namespace)
        told = nouns.CacheUse(
            namespace=namespace,
            **{one.name: getattr(tally, one.name) for one in fields(Tally)},
            hit_ratio=tally.hit_ratio,
            shared_bytes=shared.bytes_of(namespace),
        )
        if segment := local.segments.get(namespace):
            told.local_entries, told.local_bytes = len(segment.copies), segment.bytes
        return told
