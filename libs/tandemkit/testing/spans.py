"""Where spans go in tests: into a list, or to a collector that keeps what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tandemkit.telemetry.sdk import (
    InMemorySpanExporter,
    ReadableSpan,
    SimpleSpanProcessor,
    SpanKind,
    TracerProvider,
)
from tandemkit.telemetry.spans import SpanRecorder
from tandemkit.testing.parts import free_ports


class KeptSpans:
    """Every span that `recorder` made and that has ended, in the order of their ends."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.recorder = SpanRecorder(provider.get_tracer("tests"))

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.all() if span.kind is kind]


class Collector:
    """Answers as an OpenTelemetry collector does, at `endpoint`."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.batches: list[Any] = []

    async def take(self, request: web.Request) -> web.Response:
        self.batches.append(await request.json())
        return web.json_response({})

    def spans(self) -> list[tuple[str, Any]]:
        """The spans that came, each with the name of the service that sent it."""
        return [
            (_service_of(part["resource"]), span)
            for batch in self.batches
            for part in batch["resourceSpans"]
            for scope in part["scopeSpans"]
            for span in scope["spans"]
        ]


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    (port,) = free_ports(1)
    one = Collector(port)
    app = web.Application()
    app.router.add_post("/v1/traces", one.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield one
    finally:
        await runner.cleanup()


def _service_of(resource: Any) -> str:
    told = {one["key"]: one["value"] for one in resource["attributes"]}
    return str(told["service.name"]["stringValue"])
