"""A stub's call that is awaited: what its caller holds, over one attempt or two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    from tandemkit.rpc.attempts import Order, Road

Watcher: TypeAlias = Callable[[Any], object]


@grpc.aio.Call.register
class UnaryCall:
    """One call as its caller sees it: the attempt that runs, and at most one more.

    It starts at once, as gRPC's own calls do. The second attempt is for those who await: whoever of
    them comes first makes it, and all have its outcome.
    """

    __slots__ = (
        "_attempt",
        "_awaited",
        "_counted",
        "_may_repeat",
        "_order",
        "_pause",
        "_road",
        "_started_s",
        "_stopped",
        "_watching",
    )

    def __init__(self, road: Road, order: Order, *, once: bool = False) -> None:
        self._road = road
        self._order = order
        self._awaited = self._counted = self._stopped = False
        self._started_s = road.line.terms.clock.monotonic_s()
        self._pause: asyncio.Task[None] | None = None
        self._watching: list[Watcher] | None = None
        self._attempt, ours = road.start(order)
        self._may_repeat = ours and not once

    def __await__(self) -> Generator[Any, None, Any]:
        self._awaited = True
        try:
            response = yield from self._attempt.__await__()
        except grpc.aio.AioRpcError as error:
            return (yield from self._failed(error).__await__())
        finally:
            if self._watching is not None and self.done():
                self._tell()
        if not self._counted:
            self._counted = True
            self._road.line.answered()
        return response

    def __getattr__(self, name: str) -> Any:
        """All else that a call answers is the last attempt's to say."""
        if name in UnaryCall.__slots__:  # not set yet: no attempt could be made
            raise AttributeError(name)
        return getattr(self._attempt, name)

    def cancel(self) -> bool:
        if self._pause is None:
            return bool(self._attempt.cancel())
        was_running, self._stopped = not self._stopped, True
        self._pause.cancel()
        return was_running

    def cancelled(self) -> bool:
        return self._stopped or bool(self._attempt.cancelled())

    def done(self) -> bool:
        """A call is not over between two attempts."""
        return bool(self._attempt.done()) and (self._pause is None or self._stopped)

    async def code(self) -> grpc.StatusCode:
        code: grpc.StatusCode = await self._attempt.code()
        return grpc.StatusCode.CANCELLED if self._stopped else code

    def add_done_callback(self, callback: Watcher) -> None:
        """Runs `callback` with this call when it is over, the second attempt included, or now."""
        if self.done():
            callback(self)
        elif self._watching is None:
            self._watching = [callback]
            self._attempt.add_done_callback(self._over)
        else:
            self._watching.append(callback)

    def _over(self, _attempt: object) -> None:
        """An attempt ended. Whether the call did is for those to say who await it, if any."""
        if not (self._awaited and self._may_repeat):
            self._tell()

    def _tell(self) -> None:
        watching, self._watching = self._watching or (), None
        for callback in watching:
            callback(self)

    async def _failed(self, error: grpc.aio.AioRpcError) -> Any:
        """The response to the second attempt; raises where there is none."""
        if not self._counted:
            self._counted = True
            self._road.line.failed(error.code(), self._order.timeout_s)
            self._pause = self._pause_after(error)
        pause = self._pause
        if pause is None:
            raise error
        try:
            await pause
        except asyncio.CancelledError:
            self.cancel()
        if self._stopped:
            raise asyncio.CancelledError
        if self._pause is pause:
            self._repeat()
        return await self

    def _pause_after(self, error: grpc.aio.AioRpcError) -> asyncio.Task[None] | None:
        """What passes before the second attempt, as a task: ending it ends the call."""
        terms = self._road.line.terms
        pause_s = self._road.line.pause_s(error, self._left_s()) if self._may_repeat else None
        return None if pause_s is None else terms.errands.start(terms.clock.sleep(pause_s))

    def _repeat(self) -> None:
        self._pause, self._may_repeat, self._counted = None, False, False
        self._order.timeout_s = self._left_s()
        self._attempt, _ours = self._road.start(self._order)
        if self._watching is not None:
            self._attempt.add_done_callback(self._over)

    def _left_s(self) -> float | None:
        timeout_s = self._order.timeout_s
        if timeout_s is None:
            return None
        return self._started_s + timeout_s - self._road.line.terms.clock.monotonic_s()
