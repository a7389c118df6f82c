"""W3C trace context: taken from the caller, kept for the length of the call, handed on to whom it
calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import ContextVar

from tandemkit.core import ids

HEADER = "traceparent"
# Version 00: trace id and parent id, neither all zero; flags, whose last bit asks for a record.
_FORM = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ODD = frozenset("13579bdf")
_ARRIVED: ContextVar[str] = ContextVar("traceparent", default="")


def accept(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Makes the caller's trace the current one and returns it; empty where it sent none that is
    well formed.

    Runs for every call, so it neither parses nor makes up an id: that waits until somebody asks for
    one.
    """
    for key, value in metadata or ():
        if key == HEADER:
            if isinstance(value, str) and _FORM.fullmatch(value):
                _ARRIVED.set(value)
                return value
            return ""
    return ""


def sampled(traceparent: str) -> bool:
    """Whether the caller wants this trace recorded."""
    return traceparent[-1:] in _ODD


def trace_id(traceparent: str) -> str:
    """The part that all calls of one trace share; empty where there is none."""
    return traceparent[3:35]


def outgoing() -> str:
    """The header for a call made on behalf of the current one: same trace and flags, a new parent
    id.
    """
    arrived = _ARRIVED.get()
    if not arrived:
        arrived = f"00-{ids.trace_id()}-{ids.span_id()}-00"
        _ARRIVED.set(arrived)
    return f"{arrived[:36]}{ids.span_id()}{arrived[52:]}"
