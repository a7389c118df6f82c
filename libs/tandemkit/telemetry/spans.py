"""Sampled calls as OpenTelemetry's spans, named and described by its conventions for RPC."""

from __future__ import annotations

import grpc

from tandemkit.core.redaction import redacted
from tandemkit.telemetry.sdk import (
    Context,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

_CODE = grpc.StatusCode
# Of the codes with which a server answers, those that are its own fault and not its caller's.
_OF_THE_SERVER = frozenset(
    {
        _CODE.UNKNOWN,
        _CODE.DEADLINE_EXCEEDED,
        _CODE.UNIMPLEMENTED,
        _CODE.INTERNAL,
        _CODE.UNAVAILABLE,
        _CODE.DATA_LOSS,
    }
)
_OF_THE_CLIENT = frozenset(_CODE) - {_CODE.OK}
_REASON = "tandem.error_reason"


class SpanRecorder:
    """Makes a span for each call that it is asked to record: whether that is so was decided where
    the trace began, so the tracer's sampler has to say yes to all.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def called(self, path: str, traceparent: str) -> CallSpan:
        return self._begun(path, traceparent, SpanKind.CLIENT)

    def served(self, path: str, traceparent: str) -> CallSpan:
        return self._begun(path, traceparent, SpanKind.SERVER)

    def _begun(self, path: str, traceparent: str, kind: SpanKind) -> CallSpan:
        name = path.removeprefix("/")
        service, _, method = name.partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        span = self._tracer.start_span(name, _below(traceparent), kind, attributes)
        return CallSpan(span, _OF_THE_CLIENT if kind is SpanKind.CLIENT else _OF_THE_SERVER)


class CallSpan:
    """One call on one side; `errors` are the codes that make it a failure."""

    def __init__(self, span: Span, errors: frozenset[grpc.StatusCode]) -> None:
        self._span = span
        self._errors = errors

    @property
    def traceparent(self) -> str:
        its = self._span.get_span_context()
        return f"00-{its.trace_id:032x}-{its.span_id:016x}-{its.trace_flags:02x}"

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        number: int = code.value[0]
        self._span.set_attribute("rpc.grpc.status_code", number)
        if reason:
            self._span.set_attribute(_REASON, redacted(reason))
        if code in self._errors:
            self._span.set_attribute("error.type", code.name)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _below(traceparent: str) -> Context:
    """The parent, which may be anywhere; a context without one begins a trace. Whatever else this
    process has as its current span is no parent of a call.
    """
    if not traceparent:
        return Context()
    _version, trace_id, parent_id, flags = traceparent.split("-")
    asked = TraceFlags(int(flags, 16))
    parent = SpanContext(int(trace_id, 16), int(parent_id, 16), is_remote=True, trace_flags=asked)
    return set_span_in_context(NonRecordingSpan(parent), Context())
