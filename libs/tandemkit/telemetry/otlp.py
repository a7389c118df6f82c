"""Spans on their way to a collector, in OpenTelemetry's own protocol: JSON over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tandemkit.telemetry.sdk import (
    ALWAYS_ON,
    SERVICE_NAME,
    BatchSpanProcessor,
    OTELResourceDetector,
    OTLPSpanExporter,
    Resource,
    SpanExporter,
    TracerProvider,
)
from tandemkit.telemetry.spans import SpanRecorder

# For how long a batch is offered to a collector that does not take it, and so for how long a
# process that ends may be held up by one.
EXPORT_S_MAX = 2.0


@contextmanager
def exporting(endpoint: str, service: str) -> Iterator[SpanRecorder]:
    """What records spans and sends them to `endpoint`, in batches, from a thread of its own. What
    the environment says of the process (`OTEL_RESOURCE_ATTRIBUTES`) goes before `service`.
    """
    with recording(OTLPSpanExporter(endpoint, timeout=EXPORT_S_MAX), service) as recorder:
        yield recorder


@contextmanager
def recording(exporter: SpanExporter, service: str) -> Iterator[SpanRecorder]:
    """The same, for an exporter that is there; the last batch is sent on the way out."""
    resource = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield SpanRecorder(provider.get_tracer("tandemkit"))
    finally:
        provider.shutdown()
