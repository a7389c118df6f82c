"""Who is alive, as this process has heard it, by its own monotonic clock."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from tandemkit.core.clock import Clock
from tandemkit.registry.consul_kv import Row


@dataclass(frozen=True, slots=True)
class _Heard:
    version: int
    ttl_s: float
    until_s: float


def beat(ttl_s: float) -> bytes:
    """The value of a row that says: alive for so long after each write."""
    return json.dumps({"ttl_s": ttl_s}).encode()


class Liveness:
    """A deadline per row, moved on by every new version of it. No clock is compared with another
    machine's: a row lives as long as its versions keep coming.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self.index = 0
        # Whether nothing can be said of anybody: what was written meanwhile was not heard.
        self.deaf = False
        # Later than this, time has passed in which this process did not run.
        self._awake_until_s = math.inf

    def awake(self, within_s: float) -> None:
        """This process runs, and says so again before `within_s` is over. Where it is late, it was
        stopped, or its machine was: nobody could be heard, and everybody has their time again.
        """
        if self._has_slept() and not self.deaf:
            self.listen()
        self._awake_until_s = self._clock.monotonic_s() + within_s

    def hear(self, key: str, version: int, ttl_s: float) -> None:
        """That version of the row is there; only a newer one than was known moves the deadline."""
        known = self._heard.get(key)
        if known is None or version > known.version:
            self._heard[key] = _Heard(version, ttl_s, self._clock.monotonic_s() + ttl_s)

    def take_one(self, row: Row) -> None:
        """One row as it was just read. A row that somebody else put there is none of ours."""
        try:
            ttl_s = float(json.loads(row.value)["ttl_s"])
        except (ValueError, LookupError, TypeError):
            return
        self.hear(row.key, row.version, ttl_s)

    def take(self, index: int, rows: Iterable[Row]) -> None:
        """All rows as they were at `index`."""
        self.index = max(self.index, index)
        found = {row.key: row for row in rows}
        for key, known in tuple(self._heard.items()):
            if key not in found and known.version <= index:
                del self._heard[key]
        for row in found.values():
            self.take_one(row)
        if self.deaf:
            self.listen()

    def restart(self, index: int, rows: Iterable[Row]) -> None:
        """The same where versions have begun anew."""
        self._heard.clear()
        self.index = 0
        self.take(index, rows)

    def deafen(self) -> None:
        """Nothing lapses from now on, until it is listened again."""
        self.deaf = True

    def listen(self) -> None:
        """Gives every row its whole time again."""
        self.deaf = False
        now_s = self._clock.monotonic_s()
        self._heard = {
            key: _Heard(one.version, one.ttl_s, now_s + one.ttl_s)
            for key, one in self._heard.items()
        }

    def forget(self, key: str) -> None:
        self._heard.pop(key, None)

    def lapsed(self, key: str) -> int | None:
        """The version that nothing came after in time; None where it lives, or is not known."""
        known = self._heard.get(key)
        if known is None or self.deaf or self._clock.monotonic_s() < known.until_s:
            return None
        if self._has_slept():
            return None
        return known.version

    def _has_slept(self) -> bool:
        return self._clock.monotonic_s() > self._awake_until_s

    def all_lapsed(self, prefix: str) -> list[str]:
        """The keys below `prefix` that have lapsed."""
        return [key for key in self._heard if key.startswith(prefix) and self.lapsed(key)]
