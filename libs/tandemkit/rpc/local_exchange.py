"""What passes between the two sides of a call that stays in the process, and how it ends.

Over a wire each side has a copy of this, which the transport keeps alike. Here both have the same
one: docs/design/in-process.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import grpc

from tandemkit.rpc.local_deadlines import Deadlines, Timed
from tandemkit.rpc.local_metadata import Pairs
from tandemkit.rpc.local_pipe import Pipe

# gRPC's own limit for a message that arrives.
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_CODE = grpc.StatusCode


class Status(NamedTuple):
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    trailing: Pairs = ()


OK = Status(_CODE.OK)
LATE = Status(_CODE.DEADLINE_EXCEEDED, "Deadline Exceeded")
# What gRPC tells the callers of a server that cancels what still runs.
STOPPED = Status(_CODE.UNAVAILABLE, "Cancelling all calls")
BROKEN = Status(_CODE.UNKNOWN, "Unexpected end of the handler")


def oversize(side: str, wire: bytes) -> Status:
    """The end of a call one of whose messages is too big for the `side` that receives it."""
    text = f"{side}: Received message larger than max ({len(wire)} vs. {MESSAGE_BYTES_MAX})"
    return Status(_CODE.RESOURCE_EXHAUSTED, text)


class Exchange:
    """One call. `status` is None until it is over for the caller, who may still have messages to
    read when the handler is done.
    """

    # What a call without streams, metadata and second thoughts never sets.
    initial: Pairs | None = None
    response = b""
    requests: Pipe | None = None
    responses: Pipe | None = None
    status: Status | None = None
    hung_up = False
    due_s: float | None = None
    _last: Status | None = None
    _serving: asyncio.Task[None] | None = None
    _sending: asyncio.Task[None] | None = None
    _moment: set[Timed] | None = None

    def __init__(self, sent: Pairs, timeout_s: float | None, deadlines: Deadlines) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.sent = sent
        self._waiting: list[asyncio.Future[None]] = []
        self._watching: list[Callable[[], object]] = []
        if timeout_s is not None:
            self.due_s = due_s = loop.time() + timeout_s
            self._moment = deadlines.put(self, due_s, loop)

    @property
    def answered(self) -> bool:
        """Whether the handler's side has said how the call ends."""
        return self._last is not None or self.status is not None

    def left_s(self) -> float | None:
        """Seconds until the caller's deadline; None where it set none."""
        return None if self.due_s is None else max(0.0, self.due_s - self._loop.time())

    def served_by(self, task: asyncio.Task[None]) -> None:
        """`task` runs the handler: it is cancelled where the caller ends the call."""
        self._serving = task

    def fed_by(self, task: asyncio.Task[None]) -> None:
        """`task` sends what the caller's iterator gives: it is cancelled when the call is over."""
        self._sending = task

    def open(self, initial: Pairs) -> None:
        """Lets the caller see the initial metadata."""
        self.initial = initial
        self._wake()

    def finish(self, status: Status) -> None:
        """The handler's end of the call, which the caller sees after what was sent before it."""
        if self.answered:
            return
        self._last = status
        self._serving = None  # it holds us by its context: a circle for the collector to find
        if self.requests is not None:
            self.requests.refuse()
        if self.responses is None or self.responses.empty:
            self._settle(status)

    def settle(self) -> None:
        """For the caller who has read a message: shows it the end where that was the last one."""
        if self._last is not None and self.status is None:
            assert self.responses is not None
            if self.responses.empty:
                self._settle(self._last)

    def end(self, status: Status, *, hung_up: bool = False) -> bool:
        """Ends the call whatever the handler does, and cancels that; False where it was over."""
        if self.status is not None:
            return False
        self.hung_up = hung_up
        if self.responses is not None:
            self.responses.drop()
        self._settle(status)
        if self._serving is not None and not self._loop.is_closed():
            self._serving.cancel()
            self._serving = None
        return True

    def late(self) -> None:
        """The caller's time is over."""
        self.end(LATE)

    def change(self) -> asyncio.Future[None]:
        """Done when the call was opened or is over; each waiter has its own and looks again."""
        change = self._loop.create_future()
        self._waiting.append(change)
        return change

    async def over(self) -> Status:
        while self.status is None:
            await self.change()
        return self.status

    async def opened(self) -> Pairs:
        while self.initial is None and self.status is None:
            await self.change()
        return self.initial or ()

    def watch(self, callback: Callable[[], object]) -> None:
        """Runs `callback` when the call is over, or now."""
        if self.status is None:
            self._watching.append(callback)
        else:
            callback()

    def _settle(self, status: Status) -> None:
        self.status = status
        if self._moment is not None:
            self._moment.discard(self)
        if self._sending is not None and not self._loop.is_closed():
            self._sending.cancel()
        if self.requests is not None:
            self.requests.drop()
        if self.responses is not None:
            self.responses.end()
        self._wake()
        for callback in self._watching:
            callback()
        self._watching = []

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for change in waiting:
                if not change.done():
                    change.set_result(None)
