"""What a mesh knows of one method and does around each call: time, trace, breaker, retry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.clock import Clock
from tandemkit.rpc import budget, failure, priority, retries, trace
from tandemkit.rpc.breaker import Breaker, State
from tandemkit.rpc.contract import Method
from tandemkit.rpc.current import SERVING
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.retries import Tokens
from tandemkit.rpc.spans import Recorder, Span
from tandemkit.supervise.errands import Errands

Headers: TypeAlias = Iterable[tuple[str, str | bytes]] | None
_POOL = platform.DESCRIPTOR.pool
_CODE = grpc.StatusCode
# A deadline that passed sooner says more about its caller's patience than about the target.
PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What all lines of one mesh share. `retries` is False where the route does them."""

    target: str
    retries: bool
    clock: Clock
    trace_share: float
    draw: Callable[[], float]
    recorder: Recorder | None = None
    tokens: Tokens = field(default_factory=Tokens)
    errands: Errands = field(default_factory=Errands)


class Line:
    """One method, as its callers meet it. `deadline_s`, `retryable`, `priority` and `asks_caller`
    are the contract's; one whose contract is unknown has no class that goes without saying, and may
    ask.
    """

    __slots__ = ("asks_caller", "breaker", "deadline_s", "path", "priority", "retryable", "terms")

    def __init__(self, path: str, terms: Terms) -> None:
        method = described(path)
        self.path = path
        self.terms = terms
        self.breaker = Breaker(terms.target, path, terms.clock)
        self.deadline_s = method.deadline_s if method else None
        self.retryable = method.retryable if method else False
        self.priority = method.priority if method else None
        self.asks_caller = method.asks_caller if method else True

    def admit(
        self, asked_s: float | None, headers: Headers
    ) -> tuple[float | None, Headers, Span | None]:
        """The timeout and the headers of a call that is about to be sent, and its record where one
        is kept; raises Refused where it must not be sent.
        """
        span = None
        current = SERVING.get()
        if current is None:
            rest_s = None
            share = self.terms.trace_share
            if share and self.terms.draw() < share:
                headers, span = self._traced(headers, "")
        else:
            rest_s = current.rest_s()
            if headers or current.priority is not self.priority:
                headers = priority.handed_on(headers, current.priority, self.priority)
            if current.traceparent:
                headers, span = self._traced(headers, current.traceparent)
        timeout_s = budget.allowance_s(rest_s, self.deadline_s, asked_s)
        refusal = None
        if timeout_s is not None and timeout_s <= 0:
            refusal = _too_short(rest_s)
        elif self.breaker.state is not State.CLOSED:
            refusal = self._breakers_refusal()
        if refusal is not None:
            if span is not None:
                span.end(refusal.code, refusal.reason)
            raise Refused(refusal)
        return timeout_s, headers, span

    def heard(self) -> None:
        """Runs for every response: the target lives."""
        if self.breaker.failures:
            self.breaker.answered()

    def answered(self) -> None:
        """Runs for every unary call that went well."""
        if self.breaker.failures:
            self.breaker.answered()
        if self.terms.tokens.left < retries.TOKENS_MAX:
            self.terms.tokens.earn()

    def failed(self, code: grpc.StatusCode, timeout_s: float | None) -> None:
        """Tells the breaker how a call failed that had `timeout_s`. A refusal, whatever its cause,
        shows that the target lives.
        """
        if code is _CODE.UNAVAILABLE:
            self.breaker.failed(code.name)
        elif code is _CODE.DEADLINE_EXCEEDED:
            if timeout_s is None or timeout_s >= self._patience_s():
                self.breaker.failed(code.name)
        elif code is not _CODE.CANCELLED:
            self.heard()

    def pause_s(self, error: grpc.aio.AioRpcError, left_s: float | None) -> float | None:
        """Seconds until the call is tried again; None where it is not."""
        if not self.retryable or error.code() is not _CODE.UNAVAILABLE:
            return None
        may = self.terms.tokens.spend() and self.breaker.state is State.CLOSED
        wait_s = retries.pause_s(RemoteFailure.of(error), self.terms.draw)
        if not may or wait_s is None or (left_s is not None and wait_s >= left_s):
            return None
        return wait_s

    def _patience_s(self) -> float:
        return PATIENCE_S if self.deadline_s is None else min(PATIENCE_S, self.deadline_s)

    def _traced(self, headers: Headers, traceparent: str) -> tuple[Headers, Span | None]:
        """The headers of a call below `traceparent`, or of one that begins a trace. A trace that
        the caller chose itself stands, and is recorded by whoever serves the call.
        """
        given: tuple[Any, ...] = tuple(headers or ())
        if any(key == trace.HEADER for key, _value in given):
            return given, None
        recorder, span = self.terms.recorder, None
        if recorder is not None and (not traceparent or trace.sampled(traceparent)):
            span = recorder.called(self.path, traceparent)
            sent = span.traceparent
        else:
            sent = trace.handed_on(traceparent) if traceparent else trace.begun()
        return (*given, (trace.HEADER, sent)), span

    def _breakers_refusal(self) -> Refusal | None:
        wait_s = self.breaker.refused_for_s()
        if not wait_s:
            return None
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_CIRCUIT_OPEN,
            "calls of the method failed one after the other, so none is sent for a while",
            retry_after_s=wait_s,
            rpc=self.path,
        )


def described(path: str) -> Method | None:
    """The method as its contract describes it; None where its module is not loaded."""
    try:
        return Method.of(_POOL.FindMethodByName(path.lstrip("/").replace("/", ".")))
    except KeyError:
        return None


def _too_short(rest_s: float | None) -> Refusal:
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_DEADLINE_TOO_SHORT,
        "what is left of the call is too short for another one",
        left_s=0.0 if rest_s is None else round(rest_s, 6),
    )
