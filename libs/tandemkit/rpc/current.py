"""The call that is being served, for what its handler calls in turn: its trace and its class go on,
and its time is shared.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tandemkit.core.clock import stopwatch_s
from tandemkit.rpc.context import Context, time_left_s
from tandemkit.rpc.contract import Method
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.spans import Span


@dataclass(slots=True)
class Current:
    """One call on the server's side. Made for every call, so it looks nothing up until asked."""

    method: Method
    context: Context
    traceparent: str
    started_s: float
    priority: Priority
    # What the server knows of callers: `tandemkit.rpc.callers.Callers`.
    callers: Any = None
    incident: str = ""
    span: Span | None = None

    def rest_s(self) -> float | None:
        """Seconds until its caller's deadline or the method's own, whichever comes first; None
        where it has neither.
        """
        left_s = time_left_s(self.context)
        limit_s = self.method.deadline_s
        if limit_s is None:
            return left_s
        own_s = self.started_s + limit_s - stopwatch_s()
        return own_s if left_s is None else min(own_s, left_s)


# None outside of a call. Set once for each call, in the task that serves it and never reset: a call
# that is served needs a task, or a context, of its own.
SERVING: ContextVar[Current | None] = ContextVar("serving", default=None)
