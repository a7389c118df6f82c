"""What is kept of a call that is served: a log line where it failed, was slow or is sampled, and a
span where it is sampled. Of the others only their number and duration.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import grpc
from google.protobuf.message import Message

from tandemkit.core import ids, log
from tandemkit.core.clock import stopwatch_s
from tandemkit.rpc import trace
from tandemkit.rpc.context import IN_PROCESS, Context, time_left_s
from tandemkit.rpc.contract import Method
from tandemkit.rpc.current import Current
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.spans import UNTRACED, Tracing
from tandemkit.rpc.tally import Tally

SLOW_S = 1.0
_CORRELATION_CHARS_MAX = 64
_LOGGER = logging.getLogger("tandemkit.rpc")
# What the operator should look at; the other codes tell the caller about the caller.
_OURS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNIMPLEMENTED,
}


class Report:
    """Decides which calls are worth a line, and which of those without a trace begin one."""

    def __init__(
        self,
        tracing: Tracing = UNTRACED,
        slow_s: float = SLOW_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.slow_s = slow_s
        self.share = tracing.share
        self.tallies: list[Tally] = []
        self._by_path: dict[str, Tally] = {}
        self._recorder = tracing.recorder
        self._draw = draw

    def tally(self, method: Method) -> Tally:
        """What counts the calls of one more method, among those that are shown: of all instances
        in the server together.
        """
        found = self._by_path.get(method.path)
        if found is None:
            found = self._by_path[method.path] = Tally(method.path)
            self.tallies.append(found)
        return found

    def begun(self) -> int:
        """How many calls there were so far, those that are shown."""
        return sum(one.started for one in self.tallies)

    def chosen(self, context: Context) -> bool:
        """Whether a call without a trace begins one. A caller in this process had the choice, and
        did not.
        """
        return self._draw() < self.share and not context.peer().startswith(IN_PROCESS)

    def begin(self, call: Current) -> None:
        """For a call that is sampled. What it leads to belongs below its span."""
        if self._recorder is not None:
            call.span = self._recorder.served(call.method.path, call.traceparent)
            call.traceparent = call.span.traceparent
        elif not call.traceparent:
            call.traceparent = trace.begun()

    def answered(self, call: Current, response: Message | None) -> None:
        """For a call that is sampled or slow; a stream lasts as long as its caller wants."""
        sampled = trace.sampled(call.traceparent)
        if sampled or response is not None:
            size = response.ByteSize() if response is not None else 0
            name = "rpc.sampled" if sampled else "rpc.slow"
            self._line(logging.INFO, name, call, "OK", bytes=size)
        _end(call, grpc.StatusCode.OK)

    def refused(self, call: Current, refusal: Refusal) -> None:
        if not refusal.quiet:
            level = logging.WARNING if refusal.code in _OURS else logging.INFO
            self._line(level, "rpc.failed", call, refusal.code.name, reason=refusal.reason)
        _end(call, refusal.code, refusal.reason)

    def cancelled(self, call: Current) -> None:
        """A watch ends in no other way, so that says nothing about it."""
        method = call.method
        is_watch = method.server_streaming and not method.client_streaming
        is_usual = is_watch and method.deadline_s is None and not trace.sampled(call.traceparent)
        level = logging.DEBUG if is_usual else logging.INFO
        self._line(level, "rpc.cancelled", call, grpc.StatusCode.CANCELLED.name)
        _end(call, grpc.StatusCode.CANCELLED)

    def defect(self, call: Current, error: Exception) -> str:
        """Logs the cause, which the caller must not see, and returns the id that both know."""
        call.incident = ids.incident_id()
        fields = {"rpc": call.method.path, "incident": call.incident}
        _LOGGER.error("rpc.defect", exc_info=error, extra={"tandem_fields": fields})
        return call.incident

    def _line(self, level: int, name: str, call: Current, code: str, **more: object) -> None:
        if not _LOGGER.isEnabledFor(level):
            return
        left_s = time_left_s(call.context)
        log.event(
            _LOGGER,
            level,
            name,
            rpc=call.method.path,
            code=code,
            duration_ms=round((stopwatch_s() - call.started_s) * 1000, 3),
            peer=call.context.peer(),
            instance=_told(call.context, INSTANCE_HEADER),
            deadline_left_ms=None if left_s is None else round(left_s * 1000),
            trace_id=trace.trace_id(call.traceparent) or None,
            incident=call.incident or None,
            **_correlated(call.context),
            **more,
        )


def _correlated(context: Context) -> dict[str, str]:
    """Of the request that the call is made for, where it has a name."""
    said = _told(context, trace.CORRELATION_HEADER)
    return {"correlation_id": said[:_CORRELATION_CHARS_MAX]} if said else {}


def _told(context: Context, header: str) -> str | None:
    """What the caller says there."""
    told = context.invocation_metadata() or ()
    return next((str(value) for key, value in told if key == header), None)


def _end(call: Current, code: grpc.StatusCode, reason: str = "") -> None:
    if call.span is not None:
        call.span.end(code, reason)
