"""Calls that wait for their turn, by class, and which of them are refused instead. No clock and no
loop: moments are handed in.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from tandemkit.rpc.priority import Priority

# How long a call of a class may be expected to wait; beyond that it is refused as it comes. Longer
# queues get nothing more done. Where nobody else waits, a batch call is in nobody's way.
WAIT_S_MAX = {Priority.INTERACTIVE: math.inf, Priority.STANDARD: 0.1, Priority.BATCH: 0.05}
WAIT_ALONE_S_MAX = 1.0
# What an overloaded server keeps in mind of those who wait, a few KiB each.
WAITING_MAX = 1000


@dataclass(slots=True, eq=False)
class Ticket:
    """One call that waits. `left_s` is the time that it has when it comes."""

    priority: Priority
    came_s: float
    left_s: float
    turn: asyncio.Future[None]
    # Others may pass it; when it has waited that long, it is refused after all.
    patience_s: float = math.inf


class Queue:
    """Those who wait: the greater class behind the lesser, and each in the order of coming."""

    def __init__(self, size_max: int = WAITING_MAX) -> None:
        self._size_max = size_max
        self._by_class: dict[Priority, dict[Ticket, None]] = {one: {} for one in Priority}

    def __len__(self) -> int:
        return sum(map(len, self._by_class.values()))

    def waiting(self, priority: Priority) -> int:
        return len(self._by_class[priority])

    def wait_s(self, priority: Priority, cost_s: float) -> float:
        """How long one more of the class would wait where each takes `cost_s`."""
        return cost_s * sum(len(those) for one, those in self._by_class.items() if one <= priority)

    def put(self, ticket: Ticket, cost_s: float) -> Ticket | None:
        """Who is refused for it: nobody, the last of a greater class where there is no place left,
        or itself, where it would wait too long for its class or its time.
        """
        wait_s, wait_s_max = self.wait_s(ticket.priority, cost_s), WAIT_S_MAX[ticket.priority]
        if ticket.priority is Priority.BATCH and len(self) == self.waiting(Priority.BATCH):
            wait_s_max = WAIT_ALONE_S_MAX
        if wait_s > wait_s_max or wait_s + cost_s > ticket.left_s:
            return ticket
        ticket.patience_s = min(2 * wait_s_max, ticket.left_s)
        displaced = None
        if len(self) >= self._size_max:
            displaced = self._last_behind(ticket.priority)
            if displaced is None:
                return ticket
            self.leave(displaced)
        self._by_class[ticket.priority][ticket] = None
        return displaced

    def take(self) -> Ticket | None:
        """Whose turn it is."""
        for those in self._by_class.values():
            if those:
                ticket = next(iter(those))
                del those[ticket]
                return ticket
        return None

    def leave(self, ticket: Ticket) -> None:
        """It waits no longer, whether it did or not."""
        self._by_class[ticket.priority].pop(ticket, None)

    def expired(self, now_s: float) -> list[Ticket]:
        """Those whom others passed for too long: they leave."""
        late = [
            ticket
            for those in self._by_class.values()
            for ticket in those
            if now_s - ticket.came_s > ticket.patience_s
        ]
        for ticket in late:
            self.leave(ticket)
        return late

    def _last_behind(self, priority: Priority) -> Ticket | None:
        for one in reversed(Priority):
            if one > priority and self._by_class[one]:
                return next(reversed(self._by_class[one]))
        return None
