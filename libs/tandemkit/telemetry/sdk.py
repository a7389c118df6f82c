"""OpenTelemetry, as far as the kit uses it: whoever needs a name of it takes it from here.

xds-protos carries an `opentelemetry/__init__.py`. Where each distribution has a folder of its own
on `sys.path`, as in a .pex, that file hides the rest of the package until its path is extended.
"""

import importlib
import pkgutil

_package = importlib.import_module("opentelemetry")
_package.__path__ = pkgutil.extend_path(_package.__path__, _package.__name__)

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
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

__all__ = [
    "ALWAYS_ON",
    "SERVICE_NAME",
    "BatchSpanProcessor",
    "Context",
    "InMemorySpanExporter",
    "NonRecordingSpan",
    "OTELResourceDetector",
    "OTLPSpanExporter",
    "ReadableSpan",
    "Resource",
    "SimpleSpanProcessor",
    "Span",
    "SpanContext",
    "SpanExportResult",
    "SpanExporter",
    "SpanKind",
    "Status",
    "StatusCode",
    "TraceFlags",
    "Tracer",
    "TracerProvider",
    "set_span_in_context",
]
