"""How a stub's calls are made: on their line's terms, near or far, and perhaps twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from tandemkit.rpc.failure import Refused
from tandemkit.rpc.line import Headers, Line
from tandemkit.rpc.unsent import Unsent

# What runs a call: `way(request, timeout=..., metadata=..., **options)` answers a call object of
# the method's kind at once, as a grpc.aio multicallable does.
Way: TypeAlias = Callable[..., Any]
# Asked before each attempt, by the method's path and the call's headers, who runs it in this
# process: None sends it over the wire. Deadline and trace are in what the way is given, which
# therefore adds neither.
Near: TypeAlias = Callable[[str, Headers], Way | None]
Watcher: TypeAlias = Callable[[Any], object]


@dataclass(slots=True)
class Order:
    """One call, as it is sent: once, or once more with less time."""

    request: tuple[Any, ...]
    timeout_s: float | None
    headers: Headers
    options: dict[str, Any]

    def by(self, way: Way) -> Any:
        """The running call."""
        return way(*self.request, timeout=self.timeout_s, metadata=self.headers, **self.options)


class Road:
    """One method of one stub: its line, and the two ways that a call may take."""

    __slots__ = ("_far", "_near", "line")

    def __init__(self, line: Line, far: Way, near: Near | None) -> None:
        self.line = line
        self._far = far
        self._near = near

    def start(self, order: Order) -> tuple[Any, bool]:
        """The running call, and whether nobody but us would try it again."""
        if self._near is not None:
            way = self._near(self.line.path, order.headers)
            if way is not None:
                return order.by(way), True
        return order.by(self._far), self.line.terms.retries

    def unary(self, *request: Any, **options: Any) -> Any:
        """What a stub calls for a method without streams."""
        try:
            return UnaryCall(self, self._order(request, **options))
        except Refused as refused:
            return Unsent(refused.refusal)

    def collecting(self, *requests: Any, **options: Any) -> Any:
        """For a stream of requests, which nobody can send twice."""
        try:
            return UnaryCall(self, self._order(requests, **options), once=True)
        except Refused as refused:
            return Unsent(refused.refusal)

    def streaming(self, *requests: Any, **options: Any) -> Any:
        """For a stream of responses."""
        try:
            return StreamCall(self, self._order(requests, **options))
        except Refused as refused:
            return Unsent(refused.refusal)

    def _order(
        self,
        request: tuple[Any, ...],
        timeout: float | None = None,
        metadata: Headers = None,
        **options: Any,
    ) -> Order:
        timeout_s, headers = self.line.admit(timeout, metadata)
        return Order(request, timeout_s, headers, options)


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
        except asyncio.CancelledError:
            self._tell()
            raise
        if not self._counted:
            self._counted = True
            self._road.line.answered()
        if self._watching is not None:
            self._tell()
        return response

    def __getattr__(self, name: str) -> Any:
        """All else that a call answers is the last attempt's to say."""
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
            self._tell()
            raise error
        try:
            await pause
        except asyncio.CancelledError:
            self.cancel()
        if self._stopped:
            self._tell()
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


@grpc.aio.Call.register
class StreamCall:
    """A call whose responses its caller reads, one by one or with `async for`."""

    __slots__ = ("_call", "_counted", "_line", "_responses", "_timeout_s")

    def __init__(self, road: Road, order: Order) -> None:
        self._line = road.line
        self._timeout_s = order.timeout_s
        self._counted = False
        self._responses: AsyncIterator[Any] | None = None
        self._call, _ours = road.start(order)

    def __aiter__(self) -> AsyncIterator[Any]:
        """The same one each time. Raises `grpc.aio.UsageError` where the caller has read before."""
        if self._responses is None:
            # Asked for now, so that from now on gRPC refuses `read`.
            self._responses = self._iterate(aiter(self._call))
        return self._responses

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`. Each of them shows that the target lives."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self._failed(error)
            raise
        self._line.heard()
        return message

    def add_done_callback(self, callback: Watcher) -> None:
        """Runs `callback` with this call when it is over, or now."""

        def over(_call: object) -> None:
            callback(self)

        self._call.add_done_callback(over)

    def __getattr__(self, name: str) -> Any:
        """Writing, cancelling and asking for the status are gRPC's own."""
        return getattr(self._call, name)

    async def _iterate(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for message in responses:
                self._line.heard()
                yield message
        except grpc.aio.AioRpcError as error:
            self._failed(error)
            raise

    def _failed(self, error: grpc.aio.AioRpcError) -> None:
        """A call fails once, however often its caller asks."""
        if not self._counted:
            self._counted = True
            self._line.failed(error.code(), self._timeout_s)
