"""How a stub's calls are made: on their line's terms, near or far, and perhaps twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tandemkit.rpc import spans
from tandemkit.rpc.callers import HEADER
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.line import Headers, Line
from tandemkit.rpc.stream_call import RecordedStream, StreamCall
from tandemkit.rpc.unary_call import UnaryCall
from tandemkit.rpc.unsent import Unsent

# What runs a call: `way(request, timeout=..., metadata=..., **options)` answers a call object of
# the method's kind at once, as a grpc.aio multicallable does.
Way: TypeAlias = Callable[..., Any]
# Asked before each attempt, by the method's path and the call's headers, who runs it in this
# process: None sends it over the wire. Deadline and trace are in what the way is given, which
# therefore adds neither.
Near: TypeAlias = Callable[[str, Headers], Way | None]


@dataclass(slots=True)
class Order:
    """One call, as it is sent: once, or once more with less time."""

    request: tuple[Any, ...]
    timeout_s: float | None
    headers: Headers
    options: dict[str, Any]
    span: spans.Span | None

    def by(self, way: Way) -> Any:
        """The running call."""
        return way(*self.request, timeout=self.timeout_s, metadata=self.headers, **self.options)


class Road:
    """One method of one stub: its line, and the two ways that a call may take."""

    __slots__ = ("_far", "_names", "_near", "line")

    def __init__(self, line: Line, far: Way, near: Near | None, caller: str = "") -> None:
        self.line = line
        self._far = far
        self._near = near
        # Who calls, where that is asked.
        self._names = ((HEADER, caller),) if caller and line.asks_caller else ()

    def start(self, order: Order) -> tuple[Any, bool]:
        """The running call, and whether nobody but us would try it again."""
        if self._near is not None:
            way = self._near(self.line.path, order.headers)
            if way is not None:
                return order.by(way), True
        return order.by(self._far), self.line.terms.retries

    def unary(
        self,
        *request: Any,
        timeout: float | None = None,
        metadata: Headers = None,
        **options: Any,
    ) -> Any:
        """What a stub calls for a method without streams."""
        try:
            order = self._order(request, timeout, metadata, options)
        except Refused as refused:
            return Unsent(refused.refusal)
        call = UnaryCall(self, order)
        return call if order.span is None else _recorded(call, order.span)

    def collecting(
        self,
        *requests: Any,
        timeout: float | None = None,
        metadata: Headers = None,
        **options: Any,
    ) -> Any:
        """For a stream of requests, which nobody can send twice."""
        try:
            order = self._order(requests, timeout, metadata, options)
        except Refused as refused:
            return Unsent(refused.refusal)
        call = UnaryCall(self, order, once=True)
        return call if order.span is None else _recorded(call, order.span)

    def streaming(
        self,
        *requests: Any,
        timeout: float | None = None,
        metadata: Headers = None,
        **options: Any,
    ) -> Any:
        """For a stream of responses."""
        try:
            order = self._order(requests, timeout, metadata, options)
        except Refused as refused:
            return Unsent(refused.refusal)
        return StreamCall(self, order) if order.span is None else RecordedStream(self, order)

    def _order(
        self,
        request: tuple[Any, ...],
        asked_s: float | None,
        metadata: Headers,
        options: dict[str, Any],
    ) -> Order:
        timeout_s, headers, span = self.line.admit(asked_s, metadata)
        if self._names:
            headers = (*(headers or ()), *self._names)
        return Order(request, timeout_s, headers, options, span)


def _recorded(call: UnaryCall, span: spans.Span) -> UnaryCall:
    def over(_call: object) -> None:
        span.end(spans.code_of(call))

    call.add_done_callback(over)
    return call
