"""Leases that one process alone gives out. Safe to use from several threads: each step is one of a
dictionary.
"""

from __future__ import annotations

from services.memory.cache.keeping import LeaseLost, Place, Wanted

# Beyond, those that are over are forgotten before another is given.
_KNOWN_MAX = 10_000


class Leases:
    """Who fills which key, and until when."""

    def __init__(self) -> None:
        self._held: dict[Place, tuple[str, int]] = {}

    def take(self, wanted: Wanted) -> tuple[bool, int]:
        """Whether the lease is the asker's, and how many milliseconds it holds, whosever it is."""
        token, ends_ms = self._held.get(wanted.place, ("", 0))
        if wanted.now_ms < ends_ms and token != wanted.token:
            return False, ends_ms - wanted.now_ms
        if not wanted.token:
            return False, 0
        if wanted.now_ms >= ends_ms:
            if len(self._held) >= _KNOWN_MAX:
                self._forget(wanted.now_ms)
            ends_ms = wanted.now_ms + wanted.term_ms
            self._held[wanted.place] = wanted.token, ends_ms
        return True, ends_ms - wanted.now_ms

    def check(self, place: Place, token: str, now_ms: int) -> None:
        """Raises LeaseLost for one that does not hold."""
        held, ends_ms = self._held.get(place, ("", 0))
        if held != token or now_ms >= ends_ms:
            raise LeaseLost("the lease is over; look again for another")

    def end(self, place: Place) -> None:
        """Whosever it is."""
        self._held.pop(place, None)

    def release(self, place: Place, token: str) -> None:
        if self._held.get(place, ("", 0))[0] == token:
            self.end(place)

    def end_all(self, namespace: str, prefix: str = "") -> None:
        """Of keys that begin so."""
        ended = [
            one
            for one in list(self._held)
            if one.namespace == namespace and one.key.startswith(prefix)
        ]
        for one in ended:
            self.end(one)

    def _forget(self, now_ms: int) -> None:
        for one, (_, ends_ms) in list(self._held.items()):
            if ends_ms <= now_ms:
                self.end(one)
