"""Who was given how much of each memory pool, so that none is ever given twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class PoolExhausted(Exception):
    """A pool that has less left than was asked for."""

    def __init__(self, pool: str, asked_mib: int, free_mib: int, size_mib: int) -> None:
        super().__init__(
            f"pool `{pool}` has {free_mib} of {size_mib} MiB left, and {asked_mib} are asked for: "
            f"{asked_mib - free_mib} too many"
        )
        self.pool = pool
        self.asked_mib, self.free_mib, self.size_mib = asked_mib, free_mib, size_mib


@dataclass(frozen=True, slots=True)
class Grant:
    """What one holder was given."""

    holder: str
    pool: str
    memory_mib: int


class Ledger:
    """The pools of one machine. Holds no memory itself: whoever grants also enforces."""

    def __init__(self, sizes_mib: Mapping[str, int], reserve: str = "") -> None:
        """`reserve` names the pool that is opened in emergencies alone."""
        self._sizes_mib = dict(sizes_mib)
        self._reserve = reserve
        self._grants: dict[tuple[str, str], Grant] = {}

    def free_mib(self, pool: str) -> int:
        """What is left of it; a pool that the machine does not have is an empty one."""
        given = sum(one.memory_mib for one in self._grants.values() if one.pool == pool)
        return self._sizes_mib.get(pool, 0) - given

    def size_mib(self, pool: str) -> int:
        """All of it."""
        return self._sizes_mib.get(pool, 0)

    def grant(self, holder: str, asks_mib: Mapping[str, int], *, emergency: bool = False) -> None:
        """All that is asked, or PoolExhausted and nothing. A holder that asks again has more. In an
        emergency a full pool is helped out of the reserve.
        """
        wanted = self._covered(asks_mib) if emergency else dict(asks_mib)
        for pool, asked_mib in wanted.items():
            if asked_mib < 0:
                raise ValueError(f"{holder} asks for {asked_mib} MiB, and gives back by release")
            if pool == self._reserve and not emergency and asked_mib:
                raise PoolExhausted(pool, asked_mib, 0, self.size_mib(pool))
            if asked_mib > self.free_mib(pool):
                raise PoolExhausted(pool, asked_mib, self.free_mib(pool), self.size_mib(pool))
        for pool, asked_mib in wanted.items():
            held = self._grants.get((holder, pool))
            before_mib = held.memory_mib if held else 0
            self._grants[holder, pool] = Grant(holder, pool, before_mib + asked_mib)

    def release(self, holder: str) -> None:
        """Gives back all that the holder has, of every pool."""
        self._grants = {key: one for key, one in self._grants.items() if one.holder != holder}

    def grants(self) -> tuple[Grant, ...]:
        """Everything that is given, in the order of giving."""
        return tuple(one for one in self._grants.values() if one.memory_mib)

    def _covered(self, asks_mib: Mapping[str, int]) -> dict[str, int]:
        wanted: dict[str, int] = {}
        for pool, asked_mib in asks_mib.items():
            own_mib = min(asked_mib, max(self.free_mib(pool), 0))
            wanted[pool] = wanted.get(pool, 0) + own_mib
            wanted[self._reserve] = wanted.get(self._reserve, 0) + asked_mib - own_mib
        return wanted
