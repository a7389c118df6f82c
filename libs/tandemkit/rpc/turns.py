"""When a call may begin on a server that has more to do than it can: docs/design/flow.md.

Where handlers keep the loop busy, calls pile up in gRPC's own queue, one being taken out of it with
each round of the loop: unseen, unsorted and late. So a pressed server takes calls in first, and
lets them begin by class, for a while at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import log
from tandemkit.core.clock import Clock, SystemClock, stopwatch_s, wanted_s
from tandemkit.rpc import arrival, failure
from tandemkit.rpc.context import IN_PROCESS
from tandemkit.rpc.current import Current
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.waiting import Queue, Ticket
from tandemkit.supervise.errands import Errands

_LOGGER = logging.getLogger("tandemkit.rpc")
# How often a busy server is looked at, seldomer where it was found well, and what makes it busy: a
# share of a core, and calls at all.
LOOK_S, LOOK_S_MAX = 0.05, 0.2
_BUSY_SHARE = 0.4
_CALLS_MIN = 4
# A backlog that is worked off in less is none: no caller notices it.
TARGET_S = 0.02
# Calls are taken in until none comes for a moment, the shortest that uvloop sleeps; then they work.
_QUIET_S = 0.001
_TAKE_IN_S = 0.02
_WORK_S = 0.01
# Nobody is refused for a burst that is over by then: CoDel's interval.
_BURST_S = 0.1
IN_PROGRESS_MAX = 1000
AGAIN_S = {Priority.INTERACTIVE: 0.2, Priority.STANDARD: 0.5, Priority.BATCH: 2.0}
# While calls are refused there is a line this often.
_SAY_S = 10.0
_NEVER_S, _ALWAYS_S = math.inf, -math.inf


@dataclass(slots=True)
class Shed:
    """The calls that were refused, by class, and when that was said last."""

    counts: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    said_s: float = -_SAY_S
    _unsaid: int = 0

    def add(self, priority: Priority, now_s: float) -> None:
        self.counts[priority] += 1
        self._unsaid += 1
        if now_s - self.said_s >= _SAY_S:
            self.said_s = now_s
            by_class = {one.word: count for one, count in self.counts.items()}
            log.event(_LOGGER, logging.WARNING, "rpc.shed", new=self._unsaid, **by_class)
            self._unsaid = 0


class Turns:
    """Of one server, whose one event loop makes it safe without a lock. `begun` and `in_progress`
    count its calls: all so far, and those now.

    Nothing happens to a call that comes before `look_at_s`, by the stopwatch: whoever serves it
    asks that first, and then nothing else.
    """

    def __init__(
        self,
        begun: Callable[[], int],
        in_progress: Callable[[], int],
        clock: Clock | None = None,
    ) -> None:
        self.look_at_s = 0.0
        self.shed = Shed()
        self._begun, self._in_progress = begun, in_progress
        self._clock = clock or SystemClock()
        self._queue = Queue()
        self._errands = Errands()
        self._looked_s = 0.0
        # None: nobody asked.
        self._used_s: float | None = None
        self._every_s = LOOK_S
        self._seen = self._taken_in = 0
        # Since when it is behind, and what a call costs the loop as measured since; 0: not yet.
        self._pressed_s = self._cost_s = 0.0

    def waiting(self, priority: Priority) -> int:
        return self._queue.waiting(priority)

    async def turn(self, call: Current, asked: str | bytes | None) -> float:
        """The moment at which the call may begin, which is of the class that it asked for: mostly
        at once. Raises Refused where it may not begin, or asked for what is no class.
        """
        if asked is not None:
            call.priority = arrival.priority(asked)
        if call.context.peer().startswith(IN_PROCESS) or not self._is_pressed(call.started_s):
            return call.started_s  # one of this process belongs to a call that was let in
        self._taken_in += 1
        ticket = self._ticket(call)
        is_burst = call.started_s - self._pressed_s < _BURST_S
        refused = self._queue.put(ticket, 0.0 if is_burst else self._cost_s)
        if refused is not None:
            self._refuse(refused)
        try:
            await ticket.turn
        finally:
            self._queue.leave(ticket)
        return stopwatch_s()

    def _ticket(self, call: Current) -> Ticket:
        left_s = call.rest_s()
        turn = asyncio.get_running_loop().create_future()
        return Ticket(call.priority, call.started_s, math.inf if left_s is None else left_s, turn)

    def _is_pressed(self, now_s: float) -> bool:
        """Whether the server is behind, or may be, as far as can be told without holding anybody
        up. Then it is found out, and calls wait until it is.
        """
        if now_s <= self.look_at_s or self.look_at_s == _ALWAYS_S:
            return self.look_at_s == _ALWAYS_S
        before_s, wall_s, seen = self._used_s, now_s - self._looked_s, self._begun()
        # Asking takes a tenth of a millisecond after a pause: calls that come alone are spared it.
        used_s = wanted_s() if seen - self._seen >= _CALLS_MIN else None
        self._looked_s, self._used_s, self._seen = now_s, used_s, seen
        is_loaded, every_s = False, self._every_s
        if used_s is not None and before_s is None:
            every_s = LOOK_S
        elif used_s is not None and before_s is not None:
            is_loaded = used_s - before_s >= _BUSY_SHARE * wall_s
        self.look_at_s = now_s + every_s
        if not is_loaded and self._in_progress() < IN_PROGRESS_MAX:
            return False
        self._pressed_s, self._cost_s = now_s, 0.0
        self.look_at_s = _ALWAYS_S
        # In a context of its own, or it would keep the call that happened to come.
        self._errands.start(self._keep_up(), contextvars.Context())
        return True

    async def _keep_up(self) -> None:
        """Until what has come is no more than the loop does in a moment."""
        try:
            while True:
                await self._take_in()
                for late in self._queue.expired(stopwatch_s()):
                    self._refuse(late)
                if self._is_even():
                    return
                await self._work()
        finally:
            self._looked_s, self._used_s, self._seen = stopwatch_s(), wanted_s(), self._begun()
            was_burst = self._looked_s - self._pressed_s < _BURST_S
            self._every_s = min(2 * self._every_s, LOOK_S_MAX) if was_burst else LOOK_S
            self.look_at_s = self._looked_s + self._every_s
            while self._let_one_begin():
                pass

    def _is_even(self) -> bool:
        waiting, is_measured = len(self._queue), self._cost_s > 0.0
        is_little = waiting <= 1 or (is_measured and waiting * self._cost_s <= TARGET_S)
        return is_little and self._in_progress() < IN_PROGRESS_MAX

    async def _take_in(self) -> None:
        """Lets gRPC hand over what it has, while no further call begins."""
        until_s, before = stopwatch_s() + _TAKE_IN_S, self._taken_in
        await self._clock.sleep(_QUIET_S)
        while before != self._taken_in and stopwatch_s() < until_s:
            before = self._taken_in
            await self._clock.sleep(_QUIET_S)

    async def _work(self) -> None:
        """Lets calls begin, each when the one before has got as far as it does without waiting."""
        if self._in_progress() >= IN_PROGRESS_MAX:
            await self._clock.sleep(_WORK_S)
        began_s, count = stopwatch_s(), 0
        while stopwatch_s() - began_s < _WORK_S and self._in_progress() < IN_PROGRESS_MAX:
            if not self._let_one_begin():
                break
            count += 1
            await self._clock.sleep(0)
        if count:
            cost_s = (stopwatch_s() - began_s) / count
            self._cost_s += (cost_s - self._cost_s) / (4 if self._cost_s else 1)

    def _let_one_begin(self) -> bool:
        ticket = self._queue.take()
        if ticket is None:
            return False
        if not ticket.turn.done():
            ticket.turn.set_result(None)
        return True

    def _refuse(self, ticket: Ticket) -> None:
        if not ticket.turn.done():
            self.shed.add(ticket.priority, stopwatch_s())
            ticket.turn.set_exception(Refused(_REFUSALS[ticket.priority]))


def unhurried() -> Turns:
    """For calls that are never held up."""
    turns = Turns(int, int)
    turns.look_at_s = _NEVER_S
    return turns


def _refusal(priority: Priority) -> Refusal:
    refusal = failure.of_platform(
        platform.PLATFORM_ERROR_REASON_OVERLOADED,
        "the instance has more to do than it can, and the call would wait for too long",
        retry_after_s=AGAIN_S[priority],
        final=True,
        priority=priority.word,
    )
    return replace(refusal, quiet=True)


_REFUSALS = {one: _refusal(one) for one in Priority}
