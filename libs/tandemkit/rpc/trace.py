"""W3C trace context: taken from the caller and handed on to whom it calls."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tandemkit.core import ids

HEADER = "traceparent"
# Version 00: trace id and parent id, neither all zero; flags, whose last bit asks for a record.
_FORM = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ODD = frozenset("13579bdf")


def arrived(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The header that the caller sent; empty where it sent none that is well formed. Runs for every
    call, so it makes up no id.
    """
    for key, value in metadata or ():
        if key == HEADER:
            if isinstance(value, str) and _FORM.fullmatch(value):
                return value
            return ""
    return ""


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
