"""Who keeps a record of sampled calls, as far as calls need to know. What keeps it for
OpenTelemetry is in tandemkit.telemetry; without anybody, sampled calls only hand their trace on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import grpc


class Span(Protocol):
    """The record of one call on one side, which lasts from its making to `end`."""

    @property
    def traceparent(self) -> str:
        """What calls hand on that belong below this one."""

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """The call is over."""


class Recorder(Protocol):
    """Asked for sampled calls only: one in a hundred may be slow to record."""

    def called(self, path: str, traceparent: str) -> Span:
        """A call that is being made, below `traceparent`; where that is empty it begins a trace."""

    def served(self, path: str, traceparent: str) -> Span:
        """A call that came in with `traceparent`."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """How a process traces its calls: `share` of those without a trace, made or served, begin a
    sampled one, and `recorder` keeps the spans of whatever is sampled.
    """

    share: float = 0.0
    recorder: Recorder | None = None


UNTRACED = Tracing()


def code_of(call: Any) -> grpc.StatusCode:
    """The code of a call that is over, which it therefore tells without waiting."""
    asked = call.code().__await__()
    try:
        next(asked)
    except StopIteration as told:
        code: grpc.StatusCode = told.value
        return code
    asked.close()
    return grpc.StatusCode.UNKNOWN
