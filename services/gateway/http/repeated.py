"""Headers that stand more than once. Whoever lets a request through before us may go by another one
of them than we do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from services.gateway.http.asking import SINGLE
from services.gateway.http.denied import denied
from tandem.gateway.v1 import errors_pb2 as errors

# What the gateway goes by. Others may be lists, or are nothing to it.
_ONCE: Final = SINGLE | {
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "inference-header-content-length",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "transfer-encoding",
}


def check(headers: Mapping[str, str]) -> None:
    """Of a request. Raises Denied."""
    # A multidict's keys have each once, its items as often as they stand.
    found = [name.lower() for name, _value in headers.items()]
    if len(set(found)) == len(found):
        return
    for name, times in Counter(found).items():
        if times > 1 and name in _ONCE:
            message = f"the header `{name}` stands more than once, and only one of them could count"
            raise denied(errors.ERROR_REASON_HEADER_INVALID, message, header=name)
