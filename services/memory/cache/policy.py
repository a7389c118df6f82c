"""The rules of a namespace: how long its entries live, how much room they have, who goes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration

from tandem.memory.config.v1 import cache_pb2 as cfg

_MS_IN_S = 1000


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one namespace."""

    ttl_ms: int = 3600 * _MS_IN_S
    negative_ttl_ms: int = 60 * _MS_IN_S
    stale_ms: int = 0
    fill_term_ms: int = 10 * _MS_IN_S
    # For how long what is in memory is taken for what is in the shared tier.
    local_ttl_s: float = 30.0
    local_bytes_max: int = 16 * 1024 * 1024
    by_frequency: bool = False
    local_only: bool = False

    @classmethod
    def of(cls, said: cfg.CachePolicy) -> Policy:
        usual = cls()
        return cls(
            ttl_ms=ms_of(said.ttl) or usual.ttl_ms,
            negative_ttl_ms=ms_of(said.negative_ttl) or usual.negative_ttl_ms,
            stale_ms=ms_of(said.stale_for),
            fill_term_ms=ms_of(said.fill_term) or usual.fill_term_ms,
            local_ttl_s=ms_of(said.local_ttl) / _MS_IN_S
            if said.HasField("local_ttl")
            else usual.local_ttl_s,
            local_bytes_max=said.local_bytes_max or usual.local_bytes_max,
            by_frequency=said.eviction == cfg.CachePolicy.EVICTION_LFU,
            local_only=said.local_only,
        )


_USUAL = Policy()


class Policies:
    """By namespace: the first whose pattern fits."""

    def __init__(self, said: Iterable[cfg.CachePolicy] = ()) -> None:
        known = [(one.namespaces, Policy.of(one)) for one in said]

        @lru_cache(maxsize=1000)
        def found(namespace: str) -> Policy:
            fitting = (policy for pattern, policy in known if fnmatchcase(namespace, pattern))
            return next(fitting, _USUAL)

        self.of = found


def ms_of(duration: Duration) -> int:
    """Whole milliseconds: less than one of a duration that is any counts as one."""
    ms = duration.seconds * _MS_IN_S + duration.nanos // 1_000_000
    return ms or int(duration.nanos > 0)
