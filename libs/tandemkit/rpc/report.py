"""One log line for a call that failed, was slow or is sampled; none for the others, whose number
metrics count.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from tandemkit.core import ids, log
from tandemkit.core.clock import stopwatch_s
from tandemkit.rpc import trace
from tandemkit.rpc.context import Context, time_left_s
from tandemkit.rpc.failure import Refusal

SLOW_S = 1.0
_LOGGER = logging.getLogger("tandemkit.rpc")
# What the operator should look at; the other codes tell the caller about the caller.
_OURS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNIMPLEMENTED,
}


@dataclass(slots=True)
class Call:
    """What a log line needs to know of one call."""

    path: str
    context: Context
    traceparent: str
    started_s: float = field(default_factory=stopwatch_s)
    incident: str = ""


class Report:
    """Decides which calls are worth a line."""

    def __init__(self, slow_s: float = SLOW_S) -> None:
        self._slow_s = slow_s

    def answered(self, call: Call, response: Message | None) -> None:
        elapsed_s = stopwatch_s() - call.started_s
        if elapsed_s < self._slow_s and not call.traceparent:
            return
        # A stream lives as long as its caller wants; only a unary answer can be slow.
        slow = response is not None and elapsed_s >= self._slow_s
        if slow or trace.sampled(call.traceparent):
            size = response.ByteSize() if response is not None else 0
            self._line(logging.INFO, "rpc.slow" if slow else "rpc.sampled", call, "OK", bytes=size)

    def refused(self, call: Call, refusal: Refusal) -> None:
        level = logging.WARNING if refusal.code in _OURS else logging.INFO
        self._line(level, "rpc.failed", call, refusal.code.name, reason=refusal.reason)

    def cancelled(self, call: Call) -> None:
        self._line(logging.INFO, "rpc.cancelled", call, grpc.StatusCode.CANCELLED.name)

    def defect(self, call: Call, error: Exception) -> str:
        """Logs the cause, which the caller must not see, and returns the id that both know."""
        call.incident = ids.incident_id()
        fields = {"rpc": call.path, "incident": call.incident}
        _LOGGER.error("rpc.defect", exc_info=error, extra={"tandem_fields": fields})
        return call.incident

    def _line(self, level: int, name: str, call: Call, code: str, **more: object) -> None:
        if not _LOGGER.isEnabledFor(level):
            return
        left_s = time_left_s(call.context)
        log.event(
            _LOGGER,
            level,
            name,
            rpc=call.path,
            code=code,
            duration_ms=round((stopwatch_s() - call.started_s) * 1000, 3),
            peer=call.context.peer(),
            deadline_left_ms=None if left_s is None else round(left_s * 1000),
            trace_id=trace.trace_id(call.traceparent) or None,
            incident=call.incident or None,
            **more,
        )
