"""Which entry goes where there is no room: orders in which keys are let go."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Protocol

# Uses so many times the number of entries make each use before them count half.
_AGES_AFTER = 10


class Order(Protocol):
    """Keys as they are used. A key that is not there is nobody's."""

    def used(self, key: str) -> None:
        """Also for a new one."""

    def gone(self, key: str) -> None: ...

    def least(self) -> str:
        """The one that goes next, which is never the one that was used last unless it is alone.
        Raises KeyError where there is none.
        """


class Recent:
    """What was used longest ago goes first."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()

    def used(self, key: str) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)

    def gone(self, key: str) -> None:
        self._keys.pop(key, None)

    def least(self) -> str:
        for key in self._keys:
            return key
        raise KeyError


class Frequent:
    """What was used least often goes first; of equals, what was used longest ago.

    Counts are halved now and then, so that what was wanted once makes way for what is wanted now.
    """

    def __init__(self) -> None:
        self._uses: dict[str, tuple[int, int]] = {}
        # Keys by count, each in the order of its last use.
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._ticks = count()
        self._since_aged = 0
        self._last = ""

    def used(self, key: str) -> None:
        uses, _ = self._uses.get(key, (0, 0))
        if uses:
            self._leave(key, uses)
        self._enter(key, uses + 1, next(self._ticks))
        self._last = key
        self._since_aged += 1
        if self._since_aged > _AGES_AFTER * len(self._uses):
            self._age()

    def gone(self, key: str) -> None:
        uses, _ = self._uses.pop(key, (0, 0))
        if uses:
            self._leave(key, uses)

    def least(self) -> str:
        """A new key would go first of all, and nothing new would ever stay."""
        for uses in sorted(self._by_count):
            for key in self._by_count[uses]:
                if key != self._last or len(self._uses) == 1:
                    return key
        raise KeyError

    def _enter(self, key: str, uses: int, tick: int) -> None:
        self._uses[key] = uses, tick
        self._by_count.setdefault(uses, OrderedDict())[key] = None

    def _leave(self, key: str, uses: int) -> None:
        alike = self._by_count[uses]
        del alike[key]
        if not alike:
            del self._by_count[uses]

    def _age(self) -> None:
        self._since_aged = 0
        known = sorted(self._uses.items(), key=lambda one: one[1][1])
        self._by_count.clear()
        for key, (uses, tick) in known:
            self._enter(key, max(1, uses // 2), tick)
