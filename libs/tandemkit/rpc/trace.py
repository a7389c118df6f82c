"""W3C trace context: taken from the caller, kept for the length of the call, handed on to whom it
calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from tandemkit.core import ids

HEADER = "traceparent"
# version 00: "00-" + 32 digits of trace id + "-" + 16 of parent id + "-" + 2 of flags.
_LENGTH = 55
_ARRIVED: ContextVar[str] = ContextVar("traceparent", default="")


def accept(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Makes the caller's trace the current one and returns it; empty where it sent none that is
    well formed.

    Runs for every call, so it neither parses nor makes up an id: that waits until somebody asks for
    one.
    """
    for key, value in metadata or ():
        if key == HEADER:
            if isinstance(value, str) and _well_formed(value):
                _ARRIVED.set(value)
                return value
            return ""
    return ""


def sampled(traceparent: str) -> bool:
    """Whether the caller wants this trace recorded."""
    return bool(traceparent) and int(traceparent[53:], 16) & 1 == 1


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


def _well_formed(value: str) -> bool:
    if len(value) != _LENGTH or not value.startswith("00-") or value[35] != "-" or value[52] != "-":
        return False
    digits = value[3:35] + value[36:52] + value[53:]
    return all(digit in "0123456789abcdef" for digit in digits) and value[3:35].strip("0") != ""
