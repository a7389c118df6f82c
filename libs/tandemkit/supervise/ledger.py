"""Who was given how much of what a machine has, so that nothing is ever given twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


class PoolExhausted(Exception):
    """A pool that has less left than was asked for."""

    def __init__(self, pool: str, asked: int, free: int, *, size: int, unit: str) -> None:
        super().__init__(
            f"pool `{pool}` has {free} of {size} {unit} left, and {asked} are asked for: "
            f"{asked - free} too many"
        )
        self.pool = pool
        self.asked, self.free, self.size = asked, free, size


@dataclass(frozen=True, slots=True)
class Grant:
    """What one holder was given."""

    holder: str
    pool: str
    amount: int


class Ledger:
    """The pools of one machine: of memory in MiB, or of anything else that is counted. Holds
    nothing itself: whoever grants also enforces.
    """

    def __init__(self, sizes: Mapping[str, int], reserve: str = "", unit: str = "MiB") -> None:
        """`reserve` names the pool that is opened in emergencies alone."""
        self._sizes, self._unit = dict(sizes), unit
        self._reserve = reserve
        # What each holder has, by pool, and of each pool what all of them have.
        self._held: dict[str, dict[str, int]] = {}
        self._given: Counter[str] = Counter()

    def free(self, pool: str) -> int:
        """What is left of it, less than 0 where more was counted than there is; a pool that the
        machine does not have is an empty one.
        """
        return self._sizes.get(pool, 0) - self._given[pool]

    def size(self, pool: str) -> int:
        """All of it."""
        return self._sizes.get(pool, 0)

    def grant(self, holder: str, asks: Mapping[str, int], *, emergency: bool = False) -> None:
        """All that is asked, or PoolExhausted and nothing. A holder that asks again has more. In an
        emergency a full pool is helped out of the reserve.
        """
        wanted = self._covered(asks) if emergency else dict(asks)
        for pool, asked in wanted.items():
            if asked < 0:
                raise ValueError(f"{holder} asks for {asked} {self._unit}; release gives back")
            if pool == self._reserve and not emergency and asked:
                raise self._exhausted(pool, asked, 0)
            if asked > max(self.free(pool), 0):
                raise self._exhausted(pool, asked, self.free(pool))
        self.count(holder, wanted)

    def count(self, holder: str, amounts: Mapping[str, int]) -> None:
        """What the holder has already, whether there is so much or not."""
        held = self._held.setdefault(holder, {})
        for pool, amount in amounts.items():
            held[pool] = held.get(pool, 0) + amount
            self._given[pool] += amount

    def release(self, holder: str) -> None:
        """Gives back all that the holder has, of every pool."""
        self._given.subtract(self._held.pop(holder, {}))

    def held(self, holder: str) -> dict[str, int]:
        """What the holder has, by pool."""
        return dict(self._held.get(holder, {}))

    def grants(self) -> tuple[Grant, ...]:
        """Everything that is given, by holder in the order in which they came."""
        return tuple(
            Grant(holder, pool, amount)
            for holder, held in self._held.items()
            for pool, amount in held.items()
            if amount
        )

    def _covered(self, asks: Mapping[str, int]) -> dict[str, int]:
        wanted: dict[str, int] = {}
        for pool, asked in asks.items():
            own = min(asked, max(self.free(pool), 0))
            wanted[pool] = wanted.get(pool, 0) + own
            wanted[self._reserve] = wanted.get(self._reserve, 0) + asked - own
        return wanted

    def _exhausted(self, pool: str, asked: int, free: int) -> PoolExhausted:
        return PoolExhausted(pool, asked, free, size=self.size(pool), unit=self._unit)
