"""Who asks over HTTP, and how: read from the headers of the request, which are those of a gRPC call
under the same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from services.gateway.http.denied import Denied, denied
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.clock import Clock
from tandemkit.core.token import HEADER as TOKEN_HEADER
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.hosting.relay import ANYBODY, Relay, Shown
from tandemkit.rpc import priority, trace
from tandemkit.rpc.callers import HEADER as CALLER_HEADER
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.remote import RemoteFailure

TIMEOUT_HEADER: Final = "x-tandem-timeout"
# As clients of others' protocols show a key, without a scheme.
_KEY_HEADERS: Final = ("api-key", "x-api-key")
_TIMEOUT_HEADERS: Final = (TIMEOUT_HEADER, "request-timeout")
_TRACE_STATE: Final = "tracestate"
_FORWARDED: Final = (
    priority.HEADER,
    trace.HEADER,
    _TRACE_STATE,
    INSTANCE_HEADER,
    CALLER_HEADER,
    KEY_HEADER,
)
# What of it stands once: lists of the vendors' own may come in parts.
SINGLE: Final = frozenset(
    {TOKEN_HEADER, *_KEY_HEADERS, *_TIMEOUT_HEADERS, *_FORWARDED} - {_TRACE_STATE}
)
_SECONDS: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
_VALUE: Final = re.compile(r"[ -~]{0,1024}")


@dataclass(frozen=True, slots=True)
class Asked:
    """`due_s` is when the caller stops waiting, by the monotonic clock; None where it does not
    say. `headers` go with every call that is made for it, besides what it
    showed.
    """

    shown: Shown
    headers: tuple[tuple[str, str], ...]
    due_s: float | None
    # All that came: some methods name a header of their own, by which calls stick to an instance.
    sent: Mapping[str, str] = field(default_factory=dict)

    def headers_for(self, method: Method) -> tuple[tuple[str, str], ...]:
        """Raises Denied."""
        name = method.affinity
        if not name or (value := self.sent.get(name)) is None:
            return self.headers
        if _VALUE.fullmatch(value) is None:
            raise _malformed(name)
        return (*self.headers, (name, value))

    @property
    def caller(self) -> str:
        """`operator`, or `callers/...`."""
        return self.shown.caller


def asked(request: web.Request, relay: Relay, clock: Clock) -> Asked:
    """Raises Denied."""
    bearer = _bearer(request)
    if _VALUE.fullmatch(bearer) is None:
        raise _malformed(TOKEN_HEADER)
    shown = relay.shown(bearer)
    if isinstance(shown, Refusal):
        raise Denied.of(RemoteFailure.said(shown))
    return _with(shown, request, clock)


def by_anybody(request: web.Request, clock: Clock) -> Asked:
    """Whatever it shows. Raises Denied."""
    return _with(ANYBODY, request, clock)


def _with(shown: Shown, request: web.Request, clock: Clock) -> Asked:
    headers = request.headers
    sent: tuple[tuple[str, str], ...] = ()
    for name in _FORWARDED:
        value = headers.get(name)
        if value is not None:
            if _VALUE.fullmatch(value) is None:
                raise _malformed(name)
            sent = (*sent, (name, value))
    return Asked(shown, sent, _due_s(request, clock), headers)


def _bearer(request: web.Request) -> str:
    """As a gRPC call shows it."""
    found = request.headers.get(TOKEN_HEADER)
    if found is not None:
        return found
    for name in _KEY_HEADERS:
        if (key := request.headers.get(name)) is not None:
            return f"Bearer {key}"
    return ""


def _due_s(request: web.Request, clock: Clock) -> float | None:
    for name in _TIMEOUT_HEADERS:
        value = request.headers.get(name)
        if value is not None:
            found = _SECONDS.fullmatch(value)
            if found is None:
                raise _malformed(name)
            return clock.monotonic_s() + float(found[1]) * _UNITS[found[2]]
    return None


def _malformed(name: str) -> Denied:
    message = "a header of the request is not of its form"
    return denied(errors.ERROR_REASON_HEADER_INVALID, message, header=name)
