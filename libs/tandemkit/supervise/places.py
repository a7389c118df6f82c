"""A few places and a bounded queue for them, in which the lesser rank goes first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class NoPlace(Exception):
    """As many wait as may, none of them for less."""


@dataclass(slots=True, eq=False)
class _Waiting:
    rank: int
    turn: asyncio.Future[None]


class Places:
    """Whoever has taken a place gives it back. One event loop makes it safe without a lock."""

    def __init__(self, places_max: int, waiting_max: int) -> None:
        self._free, self._waiting_max = places_max, waiting_max
        self._queue: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def take(self, rank: int) -> None:
        """Raises NoPlace at once where the queue is full, or later, where one of a lesser rank
        came into the full queue.
        """
        if self._free and not self._queue:
            self._free -= 1
            return
        if len(self._queue) >= self._waiting_max:
            self._make_room(rank)
        one = _Waiting(rank, asyncio.get_running_loop().create_future())
        behind = (place for place, other in enumerate(self._queue) if other.rank > rank)
        self._queue.insert(next(behind, len(self._queue)), one)
        try:
            await one.turn
        except asyncio.CancelledError:
            if one in self._queue:
                self._queue.remove(one)
            elif one.turn.done() and not one.turn.cancelled() and not one.turn.exception():
                self.give()  # the place came with the cancellation
            raise

    def give(self) -> None:
        """To the next one, or back."""
        while self._queue:
            one = self._queue.pop(0)
            if not one.turn.done():
                one.turn.set_result(None)
                return
        self._free += 1

    def _make_room(self, rank: int) -> None:
        """The last one has the greatest rank."""
        if not self._queue or self._queue[-1].rank <= rank:
            raise NoPlace
        last = self._queue.pop()
        if not last.turn.done():
            last.turn.set_exception(NoPlace())
