"""One log line for a call that failed, was slow or is sampled; none for the others, whose number
metrics count.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

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
class Seen:
    """What a log line needs to know of one seen."""

    path: str
    context: Context
    traceparent: str
    started_s: float
    incident: str = ""


class Report:
    """Decides which calls are worth a line."""

    def __init__(self, slow_s: float = SLOW_S) -> None:
        self.slow_s = slow_s

    def answered(self, seen: Seen, response: Message | None) -> None:
        """For a call that is sampled or slow; a stream lasts as long as its caller wants."""
        sampled = trace.sampled(seen.traceparent)
        if sampled or response is not None:
            size = response.ByteSize() if response is not None else 0
            name = "rpc.sampled" if sampled else "rpc.slow"
            self._line(logging.INFO, name, seen, "OK", bytes=size)

    def refused(self, seen: Seen, refusal: Refusal) -> None:
        level = logging.WARNING if refusal.code in _OURS else logging.INFO
        self._line(level, "rpc.failed", seen, refusal.code.name, reason=refusal.reason)

    def cancelled(self, seen: Seen) -> None:
        self._line(logging.INFO, "rpc.cancelled", seen, grpc.StatusCode.CANCELLED.name)

    def defect(self, seen: Seen, error: Exception) -> str:
        """Logs the cause, which the caller must not see, and returns the id that both know."""
        seen.incident = ids.incident_id()
        fields = {"rpc": seen.path, "incident": seen.incident}
        _LOGGER.error("rpc.defect", exc_info=error, extra={"tandem_fields": fields})
        return seen.incident

    def _line(self, level: int, name: str, seen: Seen, code: str, **more: object) -> None:
        if not _LOGGER.isEnabledFor(level):
            return
        left_s = time_left_s(seen.context)
        log.event(
            _LOGGER,
            level,
            name,
            rpc=seen.path,
            code=code,
            duration_ms=round((stopwatch_s() - seen.started_s) * 1000, 3),
            peer=seen.context.peer(),
            deadline_left_ms=None if left_s is None else round(left_s * 1000),
            trace_id=trace.trace_id(seen.traceparent) or None,
            incident=seen.incident or None,
            **more,
        )
