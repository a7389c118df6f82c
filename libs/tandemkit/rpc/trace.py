"""W3C trace context: taken from the caller and handed on to whom it calls."""

from __future__ import annotations

import re

from tandemkit.core import ids

HEADER = "traceparent"
# The name that whoever asks the fleet for something gave to that: it goes with all calls for it.
CORRELATION_HEADER = "x-tandem-correlation-id"
# Version 00: trace id and parent id, neither all zero; flags, whose last bit asks for a record.
_FORM = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ODD = frozenset("13579bdf")


def well_formed(header: str | bytes) -> str:
    """The header as its caller sent it; empty where it is malformed."""
    return header if isinstance(header, str) and _FORM.fullmatch(header) else ""


def sampled(traceparent: str) -> bool:
    """Whether the caller wants this trace recorded."""
    return traceparent[-1:] in _ODD


def trace_id(traceparent: str) -> str:
    """The part that all calls of one trace share; empty where there is none."""
    return traceparent[3:35]


def handed_on(traceparent: str) -> str:
    """The header for a call made on behalf of one that came with `traceparent`: same trace and
    flags, a new parent id.
    """
    return f"{traceparent[:36]}{ids.span_id()}{traceparent[52:]}"


def begun() -> str:
    """The header of a new trace that is to be recorded."""
    return f"00-{ids.trace_id()}-{ids.span_id()}-01"
