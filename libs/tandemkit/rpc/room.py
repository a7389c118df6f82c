"""The calls of one method in progress on one instance: how many there may be, and what ends them
early.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable
from typing import Any, TypeAlias

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.clock import stopwatch_s
from tandemkit.rpc import failure
from tandemkit.rpc.anteroom import Anteroom
from tandemkit.rpc.bounds import RETRY_S, SHUT, Bounds
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.priority import Priority

Call: TypeAlias = asyncio.Task[Any]


class Room:
    """Counts, times and ends calls. The server's one event loop makes this safe without a lock.

    All calls of a method have the same time, so the order in which they came is the order in which
    they are due, and one timer serves them all: a timer for each costs a tenth of a call.
    """

    def __init__(self, method: Method) -> None:
        self._limit_s = method.deadline_s
        self._bounds = Bounds(method.concurrent_calls_max)
        self._due_s: dict[Call, float] = {}
        self._ended: dict[Call, Refusal] = {}
        self._unbroken: set[Call] = set()
        self._anteroom = Anteroom()
        self._timed = False
        # When the latest call came, by the stopwatch; none yet.
        self.entered_s: float | None = None
        # A timer keeps the context that it was set in, and with it the call that set it.
        self._context = contextvars.Context()

    def enter(self, started_s: float, priority: Priority) -> Call | None:
        """Takes the current task in, whose call came at `started_s` by the stopwatch. Raises where
        there is no room; None for one that may wait for it, by `seat`.
        """
        bounds, waiting = self._bounds, self._anteroom.places
        if bounds.calls_max and not bounds.admits(priority, len(self._due_s), len(waiting)):
            return None
        return self._sit(started_s)

    async def seat(self) -> Call:
        """Takes the current task in, an interactive call's, as soon as there is room. Raises where
        there is none in the method's time, or nobody to answer.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                while 0 != self._bounds.calls_max <= len(self._due_s):
                    if self._bounds.calls_max == SHUT:
                        raise Refused(self._bounds.refusal())
                    await self._anteroom.wait()
        except TimeoutError as late:
            raise Refused(self._late()) from late
        return self._sit(stopwatch_s())

    def holds(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task is a call in progress here. May be asked from any thread."""
        return task in self._due_s

    def limit(self, calls_max: int) -> None:
        """What policy lets in, where that is less than the contract does; 0: as the contract says.
        Calls in progress stay.
        """
        self._bounds.limit(calls_max)
        self._anteroom.call_all()

    def close(self, refusal: Refusal) -> None:
        """Lets nothing in, and ends what has no end of its own, both with `refusal`; other calls in
        progress may finish.
        """
        self._bounds.shut(refusal)
        self._anteroom.call_all()
        if self._limit_s is None:
            self._end_all(refusal)

    def shut(self, refusal: Refusal) -> None:
        """Nobody is there to answer: the same, and all calls in progress end."""
        self.close(refusal)
        self._end_all(refusal)

    @property
    def calls(self) -> int:
        """How many are in progress."""
        return len(self._due_s)

    def reopen(self) -> None:
        """Lets in what policy and contract do."""
        self._bounds.open()
        self._anteroom.call_all()

    async def unbroken(self, write: Awaitable[None]) -> None:
        """Ends the current call behind `write`, its first, and not before: while headers and a
        message are being sent gRPC takes no status, and the call would stay, whatever ended it.
        """
        call = asyncio.current_task()
        assert call is not None
        self._unbroken.add(call)
        try:
            await write
        finally:
            self._unbroken.discard(call)
        if call in self._ended:
            raise asyncio.CancelledError

    def leave(self, call: Call) -> Refusal | None:
        """Lets it go; returns why it was ended, if it was, and lets its task run on to say so."""
        del self._due_s[call]
        if self._anteroom.places:
            self._anteroom.call()
        if call not in self._ended:
            return None
        call.uncancel()
        return self._ended.pop(call)

    def drain(self) -> None:
        """Ends what has no end of its own and would use up all of a draining server's grace."""
        if self._limit_s is None:
            self._end_all(_draining())

    def _sit(self, started_s: float) -> Call:
        call = asyncio.current_task()
        assert call is not None
        self.entered_s = started_s
        if self._limit_s is None:
            self._due_s[call] = 0.0
        else:
            self._due_s[call] = started_s + self._limit_s
            if not self._timed:
                self._timed = True
                self._sweep_in(self._limit_s, call.get_loop())
        return call

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the calls whose time is over, and comes back when the next one's will be."""
        now_s = stopwatch_s()
        for call, due_s in self._due_s.items():
            if due_s > now_s:
                self._sweep_in(due_s - now_s, loop)
                return
            if call not in self._ended:
                self._end(call, self._late())
        self._timed = False

    def _sweep_in(self, wait_s: float, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(wait_s, self._sweep, loop, context=self._context)

    def _end_all(self, refusal: Refusal) -> None:
        for call in self._due_s:
            if call not in self._ended:
                self._end(call, refusal)

    def _end(self, call: Call, refusal: Refusal) -> None:
        self._ended[call] = refusal
        if call not in self._unbroken:
            call.cancel()

    def _late(self) -> Refusal:
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_DEADLINE_EXCEEDED,
            "the method's own deadline passed",
            deadline_s=self._limit_s,
        )


def _draining() -> Refusal:
    message = "the instance is shutting down"
    reason = platform.PLATFORM_ERROR_REASON_DRAINING
    return failure.of_platform(reason, message, retry_after_s=RETRY_S)


def restarting() -> Refusal:
    """While an agent is being built again in its host."""
    message = "the agent is being built again"
    reason = platform.PLATFORM_ERROR_REASON_RESTARTING
    return failure.of_platform(reason, message, retry_after_s=RETRY_S)
